//! What a journal says of its run, read once from first to last line. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Record;
use super::state::{State, Verdict};
use crate::sys::clock::Moment;

/// One attempt, and one more in case that the power went again.
const REPAIRS: u32 = 2;

/// A run, as its journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name: the one of the first record.
    pub id: String,
    /// The time of the first record; the dated name comes from it.
    pub started: Moment,
    /// The time of the last record of this run.
    pub last: Moment,
    /// The last state.
    pub state: Option<State>,
    /// Every state with its time, in the order of the journal.
    pub history: Vec<(State, Moment)>,
    /// The last verdict, in a dated log.
    pub verdict: Option<Verdict>,
    verdict_at: Option<Moment>,
    /// Stages that are done.
    pub stages: BTreeSet<String>,
    /// The grants that the run holds, as `grant=` spelt them: those that no `released=` and no `lost=` took back.
    pub grants: Vec<String>,
    /// The grants of the driver that called `patchit`, under which the run was installed: they are the driver's to give back.
    pub lent: Vec<String>,
    /// How many times in a row a service could not be reached.
    pub unreachable: u32,
    strange: Option<String>,
    facts: BTreeMap<String, String>,
}

impl Run {
    /// Reads a journal; `None` if it holds no record at all. Lines that are no records are passed over, records of another run
    /// too: a journal belongs to the run that began it.
    pub fn read(text: &str) -> Option<Self> {
        let mut lines = text.split_inclusive('\n');
        let first = lines.find_map(|line| Record::parse(line.trim_end()))?;
        let mut run = Self {
            id: first.get("run")?.to_string(),
            started: first.time()?,
            last: first.time()?,
            state: None,
            history: Vec::new(),
            verdict: None,
            verdict_at: None,
            stages: BTreeSet::new(),
            grants: Vec::new(),
            lent: Vec::new(),
            unreachable: 0,
            strange: None,
            facts: BTreeMap::new(),
        };
        run.add(&first);
        let mut damaged = false;
        for line in lines {
            match Record::parse(line.trim_end()) {
                Some(record) if record.get("run") == Some(run.id.as_str()) => {
                    damaged &= record.state().is_none();
                    run.add(&record);
                }
                Some(_) => {}
                // A torn last line has no end: what it would have announced was not begun.
                None => damaged |= line.ends_with('\n') && !line.trim().is_empty(),
            }
        }
        if damaged && run.state == Some(State::Starting) {
            // The next record of a run is that the first change begins. One that was there and cannot be read may have been that.
            run.state = Some(State::Installing);
            run.history.push((State::Installing, run.last));
        }
        Some(run)
    }

    fn add(&mut self, record: &Record) {
        if let Some(time) = record.time() {
            self.last = time;
            if let Some(state) = record.state() {
                self.state = Some(state);
                self.history.push((state, time));
            }
        }
        self.strange = self.strange.take().or_else(|| record.strange_state().map(str::to_string));
        if let Some(verdict) = record.verdict() {
            self.verdict = Some(verdict);
            self.verdict_at = record.time();
        }
        if let Some(stage) = record.stage_done() {
            self.stages.insert(stage.to_string());
        }
        self.add_grant(record);
        self.unreachable = if record.get("unreachable").is_some() { self.unreachable + 1 } else { 0 };
        for (key, value) in record.pairs() {
            self.facts.insert(key.to_string(), value.to_string());
        }
    }

    fn add_grant(&mut self, record: &Record) {
        let gone = ["released", "lost"].map(|key| record.grant(key));
        self.grants.retain(|grant| !gone.contains(&Some(grant)));
        self.lent.retain(|grant| !gone.contains(&Some(grant)));
        if let Some(grant) = record.grant("lent").filter(|grant| !self.lent.iter().any(|known| known == grant)) {
            self.lent.push(grant.to_string());
        }
        if let Some(grant) = record.grant("grant").filter(|grant| !self.grants.iter().any(|known| known == grant)) {
            self.grants.push(grant.to_string());
        }
    }

    /// The last value that any record gave a key.
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts.get(key).map(String::as_str)
    }

    /// The last state, or why nothing can be decided by this journal.
    ///
    /// # Errors
    /// The reason, with a remedy.
    pub fn known_state(&self) -> Result<State, String> {
        match (&self.strange, self.state) {
            (Some(word), _) => Err(format!("state={word} is not known to this version; use the version that wrote it")),
            (None, Some(state)) => Ok(state),
            (None, None) => Err("no record in it has a state; move it away if patchflag did not write it".into()),
        }
    }

    /// When the run came to what it ends with: the verdict, or that nothing is done.
    pub fn decided(&self) -> Option<Moment> {
        self.verdict_at.or_else(|| self.entered(State::Ending))
    }

    /// When the run last entered a state.
    pub fn entered(&self, state: State) -> Option<Moment> {
        self.history.iter().rev().find(|(s, _)| *s == state).map(|(_, time)| *time)
    }

    /// Whether the run ever was in a state.
    pub fn was(&self, state: State) -> bool {
        self.entered(state).is_some()
    }

    /// The number of the next attempt to repair what was cut short, each of which is recorded as `repair=` before it begins; `None`
    /// when there were enough.
    pub fn next_repair(&self) -> Option<u32> {
        let begun = self.fact("repair").and_then(|number| number.parse().ok()).unwrap_or(0);
        (begun < REPAIRS).then_some(begun + 1)
    }

    /// The stages of a list that are not done yet, in its order.
    pub fn missing<'a>(&self, wanted: &'a [String]) -> Vec<&'a str> {
        wanted.iter().map(String::as_str).filter(|name| !self.stages.contains(*name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Draft;
    use super::*;
    use crate::sys::clock;

    fn journal(drafts: &[Draft]) -> String {
        let time = clock::parse("2026-11-21T02:00:07Z").unwrap();
        drafts.iter().map(|d| d.line(time, "t", 1, "R1") + "\n").collect()
    }

    #[test]
    fn the_last_state_decides_and_facts_are_remembered() {
        let text = journal(&[
            Draft::state(State::Fetching),
            Draft::state(State::Staged).field("install_dir", "/a"),
            Draft::stage_done("mirror"),
            Draft::state(State::Ordered).field("boot", "b/1"),
        ]);
        let run = Run::read(&text).unwrap();
        assert_eq!(run.state, Some(State::Ordered));
        assert_eq!((run.fact("install_dir"), run.fact("boot")), (Some("/a"), Some("b/1")));
        assert!(run.missing(&["mirror".into(), "db".into()]) == ["db"]);
    }

    #[test]
    fn a_torn_last_line_does_not_count() {
        let mut text = journal(&[Draft::state(State::Fetching), Draft::state(State::Staged)]);
        text.truncate(text.len() - 5);
        assert_eq!(Run::read(&text).unwrap().state, Some(State::Fetching));
    }

    #[test]
    fn a_damaged_line_behind_the_start_may_have_been_the_first_change() {
        let text = journal(&[Draft::state(State::Starting), Draft::state(State::Installing)]);
        let damaged = text.replace("state=installing", "state=instalXing");
        assert_eq!(Run::read(&damaged).unwrap().state, Some(State::Installing));
        assert_eq!(Run::read(damaged.trim_end()).unwrap().state, Some(State::Starting), "a torn line has no end");
        let ended = damaged + &journal(&[Draft::state(State::Failing)]);
        assert_eq!(Run::read(&ended).unwrap().state, Some(State::Failing));
        let before =
            journal(&[Draft::state(State::Staged)]) + "scribble\n" + &journal(&[Draft::state(State::Starting)]);
        assert_eq!(Run::read(&before).unwrap().state, Some(State::Starting));
    }

    #[test]
    fn a_record_of_another_run_is_passed_over() {
        let mut text = journal(&[Draft::state(State::Fetching)]);
        let time = clock::parse("2026-11-21T02:00:07Z").unwrap();
        text += &Draft::state(State::Installed).line(time, "t", 1, "R2");
        assert_eq!(Run::read(&text).unwrap().state, Some(State::Fetching));
    }

    #[test]
    fn a_state_of_a_newer_version_is_not_guessed_at() {
        let text = journal(&[Draft::state(State::Staged), Draft::default().field("state", "verifying")]);
        assert!(Run::read(&text).unwrap().known_state().unwrap_err().contains("state=verifying"));
    }

    #[test]
    fn an_empty_journal_is_no_run() {
        assert_eq!(Run::read(""), None);
        assert_eq!(Run::read("scribble\n\0\0\0"), None);
    }

    #[test]
    fn a_repair_that_was_cut_short_is_tried_once_more_and_then_left_to_people() {
        let begun = |number: &str| Draft::note("repairing").field("repair", number);
        let next = |drafts: &[Draft]| Run::read(&journal(drafts)).unwrap().next_repair();
        assert_eq!(next(&[Draft::state(State::Installing)]), Some(1));
        assert_eq!(next(&[begun("1")]), Some(2));
        assert_eq!(next(&[begun("1"), begun("2")]), None);
    }

    #[test]
    fn a_grant_is_held_until_a_record_gives_it_back_or_says_that_it_is_lost() {
        let one = |key: &str, grant: &str| Draft::default().field(key, grant);
        let grants = |drafts: &[Draft]| Run::read(&journal(drafts)).unwrap().grants;
        let (web, db) = ("lockd web 7 web01", "lockd db 8 web01");
        assert_eq!(grants(&[one("grant", web), one("grant", db), one("grant", web)]), [web, db]);
        assert_eq!(grants(&[one("grant", web), one("grant", db), one("released", web)]), [db]);
        assert_eq!(grants(&[one("grant", web), one("lost", web)]), [""; 0]);
        assert_eq!(grants(&[one("grant", web), one("released", "lockd web 6 web01")]), [web]);
    }

    #[test]
    fn a_lent_grant_is_none_of_the_run_s_own_and_can_be_lost() {
        let one = |key: &str| Draft::default().field(key, "lockd web 7 web01");
        let read = |drafts: &[Draft]| Run::read(&journal(drafts)).unwrap();
        let run = read(&[one("lent"), one("lent")]);
        assert_eq!((run.grants.len(), run.lent), (0, vec!["lockd web 7 web01".to_string()]));
        assert!(read(&[one("lent"), one("lost")]).lent.is_empty());
    }

    #[test]
    fn half_a_grant_is_none() {
        let text = journal(&[Draft::state(State::Staged), Draft::default().field("grant", "lockd web 71 web01")]);
        for end in text.len() - 60..text.len() - 1 {
            assert!(Run::read(&text[..end]).unwrap().grants.is_empty(), "{}", &text[..end]);
        }
    }

    #[test]
    fn only_misses_in_a_row_count_as_unreachable() {
        let miss = || Draft::note("no route").field("unreachable", "server");
        let text = journal(&[miss(), Draft::state(State::Fetching), miss(), miss()]);
        assert_eq!(Run::read(&text).unwrap().unreachable, 2);
    }
}
