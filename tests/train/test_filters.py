"""mlagent_train.filters: which trajectories become examples, and why the others do not."""

from mlagent_train.filters import filter_trajectories


def step(reply, outcome="scored", action="Edit Script", task="alpha"):
    return {"task": task, "reply": reply, "action": {"name": action}, "info": {"outcome": outcome}}


GOOD = [step("Make the trees deeper.", "scored"), step("Done.", "non_edit", "Final Answer")]
OTHER = [step("Predict the logarithm of the price, not the price.", "scored")]


def test_a_trajectory_is_dropped_for_the_first_reason_there_is():
    unparsed = [step("?", "invalid", "Invalid"), *GOOD]
    failed = [step("x", "failed")]
    looked = [step("x", "scored", "Execute Script")]
    long = [step("A very long reply.")]
    filtered = filter_trajectories(
        [GOOD, unparsed, failed, looked, long, OTHER],
        max_similarity=1.0,
        fits=lambda trajectory: trajectory is not long,
    )
    assert filtered.kept == [GOOD, OTHER]
    assert filtered.dropped == {
        "a reply is no action": 1,
        "no successful edit": 2,
        "longer than sft.max_tokens": 1,
    }


def test_an_edit_that_did_not_help_and_one_that_found_no_place_are_no_reason():
    tried = [step("Worse.", "scored"), step("No such line.", "invalid"), step("Undo", "non_edit")]
    assert filter_trajectories([tried], max_similarity=1.0).kept == [tried]


def test_near_duplicates_of_the_same_task_are_dropped():
    again = [{**row} for row in GOOD]
    elsewhere = [{**row, "task": "beta"} for row in GOOD]
    filtered = filter_trajectories([GOOD, again, OTHER, elsewhere], max_similarity=0.95)
    assert filtered.kept == [GOOD, OTHER, elsewhere]
    assert filtered.dropped == {"near-duplicate": 1}
