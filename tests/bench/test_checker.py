"""The verifier of runs must be able to fail: every kind of damage, planted by hand, is found and named."""

import numpy as np
import pytest

from bench.checker import Checker, Verdict
from bench.columns import Answer, Request, Told
from bench.laws import Cohort

REVISION = 7
CANARY_BELOW = 100_000
"""Routing hashes below this are canary at 10 %."""


class Run:
    """A right run of 4,000 requests on 2 partitions at 10 %, to be damaged before it is judged."""

    def __init__(self, n: int = 4_000) -> None:
        rng = np.random.default_rng(0)
        self.hashes = rng.integers(0, 1_000_000, n).tolist()
        self.requests = [Request(id=f"r{i}", key=f"k{i % (n // 2)}") for i in range(n)]
        self.answers = [self.answer(i) for i in range(n)]
        self.outcomes = [self.outcome(i) for i in range(n)]
        self.letters: list[tuple[int, int]] = []

    def src(self, i: int) -> str:
        return f"t.requests/{i % 2}@{5 + i // 2}"

    def u(self, i: int) -> int:
        return int(self.hashes[i % (len(self.requests) // 2)])

    def variant(self, i: int) -> str:
        return "canary" if self.u(i) < CANARY_BELOW else "stable"

    def answer(self, i: int) -> Answer:
        return Answer(src=self.src(i), id=f"r{i}", variant=self.variant(i), revision=REVISION, prediction=i / 7)

    def outcome(self, i: int) -> Told:
        return Told(src=self.src(i), id=f"r{i}", variant=self.variant(i), revision=REVISION, u=self.u(i),
                    prediction=i / 7)  # fmt: skip

    def refuse(self, i: int, code: str) -> None:
        self.answers[i] = Answer(src=self.src(i), id=f"r{i}", error_code=code)

    def verdict(self, weight: float = 10.0, by_key: bool = True) -> Verdict:
        checker = Checker({REVISION: Cohort(weight)}, by_key=by_key)
        for partition in (0, 1):
            checker.asked("t.requests", partition, 5, self.requests[partition::2])
        checker.answered(self.answers)
        checker.told(self.outcomes)
        checker.buried(self.letters)
        return checker.verdict()


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_right_run_is_exact(run: Run) -> None:
    verdict = run.verdict()

    assert verdict.is_exact, verdict.summary()
    assert verdict.answered == verdict.requests == 4_000


def test_a_run_without_records_has_lost_everything(run: Run) -> None:
    run.answers, run.outcomes = [], []

    assert len(run.verdict().lost) == 4_000


def test_a_missing_answer_is_lost(run: Run) -> None:
    del run.answers[11]

    assert run.verdict().lost == ["1@10"]


def test_a_second_equal_answer_is_repeated_and_still_valid(run: Run) -> None:
    run.answers.append(run.answer(10))

    verdict = run.verdict()

    assert verdict.problems == {"repeated": ["0@10"]}
    assert verdict.is_valid
    assert verdict.extra == 1


def test_a_second_answer_that_differs_in_value_is_a_contradiction(run: Run) -> None:
    run.answers.append(Answer(src=run.src(10), id="r10", variant=run.variant(10), revision=REVISION, prediction=0.5))

    verdict = run.verdict()

    assert verdict.contradicted == ["0@10"]
    assert not verdict.is_valid


def test_the_last_bit_of_a_value_is_no_contradiction(run: Run) -> None:
    run.answers.append(run.answer(10))
    run.answers[-1].prediction = float(np.nextafter(10 / 7, 2))

    assert run.verdict().contradicted == []


def test_a_second_answer_of_the_other_variant_is_a_contradiction(run: Run) -> None:
    other = "stable" if run.variant(10) == "canary" else "canary"
    run.answers.append(Answer(src=run.src(10), id="r10", variant=other, revision=REVISION, prediction=10 / 7))

    assert run.verdict().contradicted == ["0@10"]


def test_two_revisions_of_one_request_may_differ(run: Run) -> None:
    run.answers.append(Answer(src=run.src(10), id="r10", variant="stable", revision=8, prediction=0.5))

    assert run.verdict().problems == {"repeated": ["0@10"]}


def test_an_answer_beside_an_error_record_is_a_contradiction(run: Run) -> None:
    run.answers.append(Answer(src=run.src(10), id="r10", error_code="model_error"))

    assert run.verdict().contradicted == ["0@10"]


def test_a_wrong_variant_is_found_even_when_answer_and_outcome_agree(run: Run) -> None:
    canary = next(i for i in range(4_000) if run.variant(i) == "canary")
    run.answers[canary].variant = run.outcomes[canary].variant = "stable"

    assert list(run.verdict().problems) == ["wrong_variant"]


def test_another_weight_than_that_of_the_revision_is_found(run: Run) -> None:
    verdict = run.verdict(weight=20.0)

    assert len(verdict.wrong_variant) > 300
    assert verdict.shares_off == [f"revision 7: {verdict.shares_off[0].split()[2]} of 2000 keys at weight 20.0"]


def test_a_revision_that_the_control_log_does_not_know_is_found(run: Run) -> None:
    run.answers[10].revision = run.outcomes[10].revision = 99

    assert run.verdict().wrong_variant == ["0@10"]


def test_a_key_with_two_hashes_is_not_sticky(run: Run) -> None:
    run.outcomes[10].u += 1 if run.u(10) != CANARY_BELOW - 1 else -1

    assert list(run.verdict().problems) == ["not_sticky"]


def test_by_request_a_key_may_have_two_hashes(run: Run) -> None:
    run.outcomes[10].u += 1 if run.u(10) != CANARY_BELOW - 1 else -1

    assert run.verdict(by_key=False).is_exact


def test_a_skewed_hash_is_found_by_the_share_alone(run: Run) -> None:
    run.hashes = [u // 2 for u in run.hashes]
    run.answers = [run.answer(i) for i in range(4_000)]
    run.outcomes = [run.outcome(i) for i in range(4_000)]

    assert list(run.verdict().problems) == ["shares_off"]


def test_a_missing_outcome_is_found(run: Run) -> None:
    del run.outcomes[10]

    assert run.verdict().problems == {"missing_outcomes": ["0@10"]}


def test_a_doubled_outcome_is_found(run: Run) -> None:
    run.outcomes += [run.outcome(10), run.outcome(10)]

    verdict = run.verdict()

    assert verdict.problems == {"doubled_outcomes": ["0@10"]}
    assert verdict.extra_outcomes == 2


def test_a_shadow_outcome_is_nobodys_answer(run: Run) -> None:
    run.outcomes.append(run.outcome(10))
    run.outcomes[-1].mode = "shadow"

    assert run.verdict().is_exact


def test_an_outcome_that_tells_another_value_than_the_answer_is_found(run: Run) -> None:
    run.outcomes[10].prediction = 123.0

    assert run.verdict().problems == {"other_outcomes": ["0@10"]}


def test_rows_that_were_not_randomised_say_nothing_of_the_split(run: Run) -> None:
    canary = next(i for i in range(4_000) if run.variant(i) == "canary")
    run.answers[canary].variant = run.outcomes[canary].variant = "stable"
    run.outcomes[canary].cohort = "pinned"

    assert run.verdict().is_exact


@pytest.mark.parametrize("src", ["t.requests/0@4", "t.requests/9@5"])
def test_an_answer_to_no_request_is_a_stray(run: Run, src: str) -> None:
    run.answers.append(Answer(src=src, id="r0", variant="stable", revision=REVISION, prediction=0.0))

    assert run.verdict().strays == [src.partition("/")[2]]


def test_an_answer_under_another_id_is_a_stray_and_its_request_lost(run: Run) -> None:
    run.answers[10].id = "r11"

    assert run.verdict().strays == run.verdict().lost == ["0@10"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_prediction_that_is_no_finite_number_is_found(run: Run, value: float | None) -> None:
    run.answers[10].prediction = run.outcomes[10].prediction = value

    assert run.verdict().problems == {"not_finite": ["0@10"]}


def test_a_bad_request_needs_an_error_record_and_one_dead_letter(run: Run) -> None:
    run.refuse(10, "bad_json")
    del run.outcomes[10]
    run.letters = [(0, 10)]

    verdict = run.verdict()

    assert verdict.is_exact, verdict.summary()
    assert verdict.errors == {"bad_json": 1}


@pytest.mark.parametrize("letters", [[], [(0, 10), (0, 10)], [(0, 10), (0, 11)]])
def test_missing_doubled_and_needless_dead_letters_are_found(run: Run, letters: list[tuple[int, int]]) -> None:
    run.refuse(10, "bad_json")
    del run.outcomes[10]
    run.letters = letters

    assert list(run.verdict().problems) == ["letters_wrong"]


def test_a_request_on_which_both_models_failed_has_an_outcome_too(run: Run) -> None:
    run.refuse(10, "model_error")
    run.outcomes[10].prediction = None
    run.letters = [(0, 10)]

    assert run.verdict().is_exact
    del run.outcomes[10]
    assert run.verdict().missing_outcomes == ["0@10"]


def test_a_request_that_was_too_old_has_no_dead_letter(run: Run) -> None:
    run.refuse(10, "deadline_exceeded")
    del run.outcomes[10]

    assert run.verdict().is_exact
