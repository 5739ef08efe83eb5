"""mlagent_train.checkpoints on folders as a kill leaves them."""

import pytest

from mlagent_train.checkpoints import exports, prune_exports, repair_checkpoints

ROLES = ("_actor", "_critic")


@pytest.fixture
def saved(tmp_path):
    """Lay out checkpoints: for each role its complete and incomplete steps, and ``latest``."""

    def lay_out(**roles):
        for role, (complete, cut, latest) in roles.items():
            for step in complete + cut:
                folder = tmp_path / f"_{role}" / f"global_step{step}"
                folder.mkdir(parents=True)
                (folder / "weights.pt").write_text("x")
                if step in complete:
                    (folder / "metric.json").write_text("{}")
            if latest is not None:
                (tmp_path / f"_{role}" / "latest").write_text(latest)
        return tmp_path

    return lay_out


def steps(folder):
    return sorted(path.name for path in folder.glob("global_step*"))


def test_a_complete_pair_is_kept(saved):
    root = saved(actor=([3, 6], [], "global_step6"), critic=([3, 6], [], "global_step6"))
    assert repair_checkpoints(root, ROLES) == 6
    assert steps(root / "_actor") == ["global_step3", "global_step6"]


def test_an_actor_ahead_of_its_critic_goes_back_to_their_common_step(saved):
    root = saved(actor=([3, 6], [], "global_step6"), critic=([3], [6], "global_step3"))
    assert repair_checkpoints(root, ROLES) == 3
    for role in ROLES:
        assert (root / role / "latest").read_text() == "global_step3"
        assert steps(root / role) == ["global_step3"]


def test_an_emptied_latest_file_is_written_anew(saved):
    root = saved(actor=([3], [], ""), critic=([3], [], "global_step3"))
    assert repair_checkpoints(root, ROLES) == 3
    assert (root / "_actor" / "latest").read_text() == "global_step3"


@pytest.mark.parametrize(
    "roles",
    [
        {},
        {"actor": ([], [3], None)},
        {"actor": ([3], [], "global_step3")},
        {"actor": ([3], [], "global_step3"), "critic": ([], [3], None)},
    ],
)
def test_nothing_is_left_when_no_step_is_complete(roles, saved):
    root = saved(**roles)
    assert repair_checkpoints(root, ROLES) == 0
    assert not (root / "_actor").exists()


def test_without_a_critic_the_actor_alone_counts(saved):
    root = saved(actor=([2], [4], "global_step4"))
    assert repair_checkpoints(root, ("_actor",)) == 2


def test_checkpoints_of_sft_lie_in_the_folder_itself(saved, tmp_path):
    (saved(sft=([200], [400], "global_step400")) / "model").mkdir()
    assert repair_checkpoints(tmp_path / "_sft") == 200
    assert (tmp_path / "_sft" / "latest").read_text() == "global_step200"
    assert steps(tmp_path / "_sft") == ["global_step200"]


def test_what_lies_beside_the_checkpoints_of_sft_is_left_alone(saved, tmp_path):
    (saved(sft=([], [200], None)) / "model").mkdir()
    assert repair_checkpoints(tmp_path / "_sft") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.fixture
def exported(tmp_path):
    """Lay out exports by name; one whose name ends in ``-`` was cut before its tokenizer."""

    def lay_out(*names):
        for name in names:
            folder = tmp_path / name.removesuffix("-")
            folder.mkdir()
            (folder / "model.safetensors").write_text("x")
            if not name.endswith("-"):
                (folder / "tokenizer_config.json").write_text("{}")
                (folder / "tokenizer.json").write_text("{}")
        return tmp_path

    return lay_out


def test_only_complete_exports_count(exported):
    folder = exported(
        "global_step10_hf",
        "global_step2_hf",
        "best_global_step10_hf",
        "global_step12_hf-",
        "_actor",
    )
    found = [(export.update, export.best) for export in exports(folder)]
    assert found == [(2, False), (10, False), (10, True)]
    assert exports(folder / "none") == []


def test_the_newest_of_each_kind_are_kept(exported):
    folder = exported(
        *(f"global_step{n}_hf" for n in (1, 2, 10)),
        *(f"best_global_step{n}_hf" for n in (1, 9, 10)),
        "global_step11_hf-",
    )
    prune_exports(folder, keep=2)
    assert sorted(path.name for path in folder.iterdir()) == [
        "best_global_step10_hf",
        "best_global_step9_hf",
        "global_step10_hf",
        "global_step11_hf",
        "global_step2_hf",
    ]
