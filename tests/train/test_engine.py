"""mlagent_train.cuda_free.engine with a model made on the spot."""

import asyncio
import threading

import pytest

torch = pytest.importorskip("torch")

from mlagent_train.cuda_free.engine import (  # noqa: E402
    AsyncEngineArgs,
    AsyncLLMEngine,
    SamplingParams,
    StatelessProcessGroup,
    StoreCommunicator,
    TokensPrompt,
)


@pytest.fixture(scope="module")
def engine(tiny_model):
    return AsyncLLMEngine.from_engine_args(AsyncEngineArgs(model=str(tiny_model), gpu_memory=1))


@pytest.fixture
def generate(engine):
    """Answer prompts at once."""

    def run(prompts, **params):
        async def one(number, prompt):
            stream = engine.generate(
                TokensPrompt(prompt_token_ids=prompt), SamplingParams(**params), str(number)
            )
            return [output async for output in stream][-1]

        async def all_of_them():
            return await asyncio.gather(*(one(n, p) for n, p in enumerate(prompts)))

        return asyncio.run(all_of_them())

    return run


PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]


def test_answers_come_to_who_asked_within_their_budget(generate):
    outputs = generate(PROMPTS, max_tokens=7)
    assert [output.request_id for output in outputs] == ["0", "1", "2"]
    assert all(1 <= len(output.outputs[0].token_ids) <= 7 for output in outputs)


def test_a_prompt_is_answered_alike_alone_and_in_a_batch(generate):
    together = generate(PROMPTS, max_tokens=6, temperature=0.0)
    for prompt, output in zip(PROMPTS, together, strict=True):
        (alone,) = generate([prompt], max_tokens=6, temperature=0.0)
        assert alone.outputs[0].token_ids == output.outputs[0].token_ids


def test_log_probabilities_are_those_of_the_model(engine, generate):
    (output,) = generate([PROMPTS[0]], max_tokens=4, logprobs=1)
    tokens = output.outputs[0].token_ids
    with torch.no_grad():
        logits = engine.model(torch.tensor([PROMPTS[0] + tokens])).logits[0].float()
    expected = logits.log_softmax(-1)
    for position, token in enumerate(tokens):
        found = output.outputs[0].logprobs[position][token].logprob
        assert found == pytest.approx(
            expected[len(PROMPTS[0]) + position - 1, token].item(), abs=0.05
        )


def test_weights_from_the_trainer_change_the_answers(engine, generate):
    name = "model.norm.weight"
    before = engine._parameters[name].clone()
    store = {}

    def trainer():
        group = StatelessProcessGroup.create("127.0.0.1", store["port"], 0, 2)
        store["group"] = group  # the store lives as long as rank 0 holds it
        StoreCommunicator(group).broadcast(torch.full_like(before, 2.0), src=0)

    async def receive():
        await engine.collective_rpc(
            "init_process_group", ("127.0.0.1", store["port"], 1, 2, "g", "gloo", False)
        )
        await engine.collective_rpc("update_weight", (name, before.dtype, before.shape, True))

    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        store["port"] = probe.getsockname()[1]
    thread = threading.Thread(target=trainer)
    thread.start()
    asyncio.run(receive())
    thread.join()
    assert torch.equal(engine._parameters[name], torch.full_like(before, 2.0))
    with torch.no_grad():
        engine._parameters[name].copy_(before)


def test_generation_waits_while_it_is_paused(engine, generate):
    asyncio.run(engine.pause_generation())
    done = threading.Event()
    worker = threading.Thread(target=lambda: (generate([PROMPTS[0]], max_tokens=2), done.set()))
    worker.start()
    assert not done.wait(0.5)
    asyncio.run(engine.resume_generation())
    assert done.wait(30)
    worker.join()


def test_what_it_cannot_do_is_refused(engine):
    with pytest.raises(NotImplementedError):
        asyncio.run(engine.sleep())

    async def with_image():
        prompt = TokensPrompt(prompt_token_ids=[5], multi_modal_data={"image": []})
        return [output async for output in engine.generate(prompt, SamplingParams(), "0")]

    with pytest.raises(NotImplementedError):
        asyncio.run(with_image())
