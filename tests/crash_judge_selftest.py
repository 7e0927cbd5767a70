"""The judge of power losses sees each promise that is broken: `python3 -m tests.crash_judge_selftest`."""

import copy
import sys
import unittest
import zlib

from . import crash_judge as judge

RUN = "20261121T020000Z.7"
STEPS = ["begun", "done"]
OTHERS = {"patchlog.261121": "of another run\n"}


def line(pairs):
    """A record with its sum."""
    text = f"time=2026-11-21T02:00:00Z tool=patchit pid=7 run={RUN} {pairs}"
    return f"{text} sum={zlib.crc32(text.encode()):08x}\n"


def journal(*states, more=""):
    """A journal that went through these states."""
    return "".join(line(f'state={state} msg="so it \\"is\\" state=x"') for state in states) + more


WAY = ("fetching", "staged", "ordered", "starting", "installing", "installed")
PATCHED = journal(*WAY, more=line("verdict=ok"))
GOOD_END = judge.End(
    level="2", normal="2", boots=2, status=(0, "idle"), trigger=False, etc=["hostname", "patchlog.261121", "patchlog.261121.1"],
    dated={**OTHERS, "patchlog.261121.1": PATCHED}, before=OTHERS, mails=[RUN], witness=list(STEPS), failed=None)
GOOD_LOSS = judge.Loss(seen=list(WAY[:4]), journal=journal(*WAY[:4]), dated=dict(OTHERS))


class Judge(unittest.TestCase):
    """Facts of a good round, with one thing changed."""

    def end(self, **changes):
        facts = copy.deepcopy(GOOD_END)
        for name, value in changes.items():
            setattr(facts, name, value)
        return list(judge.judge_end(facts, STEPS))

    def loss(self, **changes):
        facts = copy.deepcopy(GOOD_LOSS)
        for name, value in changes.items():
            setattr(facts, name, value)
        return list(judge.judge_loss(facts, OTHERS))

    def dated(self, text):
        return {**OTHERS, "patchlog.261121.1": text}

    def test_a_good_round_breaks_nothing(self):
        self.assertEqual(self.end(), [])
        self.assertEqual(self.loss(), [])
        interrupted = journal(*WAY[:5], "failed")
        self.assertEqual(self.end(dated=self.dated(interrupted), witness=["begun"], failed="patchlog.261121.1"), [])

    def test_every_fact_at_the_end_counts(self):
        for changes in (
                {"level": "1"}, {"level": ""}, {"boots": 4}, {"status": (0, "installing")}, {"status": (1, "cannot")},
                {"trigger": True}, {"etc": ["patchlog"]}, {"etc": [".inittab.draft"]}, {"etc": [".patchroom"]},
                {"dated": {"patchlog.261121": "", "patchlog.261121.1": PATCHED}}, {"dated": {"patchlog.261121.1": PATCHED}},
                {"dated": OTHERS}, {"dated": {**self.dated(PATCHED), "patchlog.261121.2": PATCHED}},
                {"mails": []}, {"mails": [RUN, "configuration.20261121"]}, {"failed": "patchlog.261121.1"},
                {"witness": ["begun"]}, {"witness": []}, {"witness": ["begun", "done", "done"]},
                {"witness": ["begun", "done", "more"]}, {"audit": "half configured"}):
            with self.subTest(changes):
                self.assertNotEqual(self.end(**changes), [])

    def test_every_wrong_way_of_a_journal_counts(self):
        for text in (
                journal("staged", *WAY[2:], more=line("verdict=ok")), journal(*WAY), journal(*WAY, more=line("verdict=bad")),
                journal(*WAY[:5]), journal(*WAY[:4], "installing", "installing", "installed", more=line("verdict=ok")),
                journal(*WAY[:4], "installing", "starting", *WAY[4:], more=line("verdict=ok")),
                PATCHED.replace("state=staged", "state=staled")):
            with self.subTest(text):
                self.assertNotEqual(self.end(dated=self.dated(text)), [])

    def test_a_script_of_a_package_may_run_twice_only_after_an_interruption(self):
        steps = ["configured tiny"]
        facts = copy.deepcopy(GOOD_END)
        facts.witness = steps * 2
        self.assertNotEqual(list(judge.judge_end(facts, steps)), [])
        facts.dated, facts.failed = self.dated(journal(*WAY[:5], "failed")), "patchlog.261121.1"
        self.assertEqual(list(judge.judge_end(facts, steps)), [])
        facts.witness = steps * 3
        self.assertNotEqual(list(judge.judge_end(facts, steps)), [])

    def test_every_fact_after_the_loss_counts(self):
        torn = journal(*WAY[:2])[:-9]
        for changes in (
                {"check": 4}, {"status": (1, "cannot")}, {"journal": journal(*WAY[:2])}, {"journal": None},
                {"journal": torn + "\n" + journal(*WAY[2:4])}, {"journal": journal(*WAY[:2]), "seen": [], "flag": False},
                {"journal": journal(*WAY[:2]), "seen": [], "trigger": True}, {"journal": journal(*WAY[:5]), "trigger": True},
                {"witness": ["begun"]}, {"done": True}):
            with self.subTest(changes):
                self.assertNotEqual(self.loss(**changes), [])

    def test_what_was_never_acted_upon_may_be_lost(self):
        self.assertEqual(self.loss(journal=journal(*WAY[:3])), [])
        self.assertEqual(self.loss(journal=journal(*WAY[:3]) + line("state=starting")[:40]), [])
        self.assertEqual(self.loss(seen=["fetching"], journal=None), [])


if __name__ == "__main__":
    program = unittest.main(exit=False)
    failed = len(program.result.failures) + len(program.result.errors)
    print(f"{program.result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
