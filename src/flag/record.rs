//! One record of the journal, and how a whole one is told from one that a power cut tore.
//!
//! Every record of ours ends with `sum=`, the CRC-32 of the line before it. A record that carries a state or a verdict counts
//! only with a sum that is right: `state=staged install_dir=/var/lib/pa` is a lie that could be acted upon. Other programs may
//! write records without a sum (`done stage=NAME` is all a stage needs); they can't change the state.

use super::logfmt;
use super::state::{State, Verdict};
use crate::sys::clock::{self, Moment};

/// A record: when, by whom, in which run, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pairs: Vec<(String, String)>,
    whole: bool,
}

/// A record in the making.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    words: Vec<(String, Option<String>)>,
}

impl Draft {
    /// A record that carries the run into a state.
    pub fn state(state: State) -> Self {
        Self::default().field("state", state.word())
    }

    /// A record that says what the confirmation found.
    pub fn verdict(verdict: Verdict) -> Self {
        Self::default().field("verdict", verdict.word())
    }

    /// A record that a stage is done in this run.
    pub fn stage_done(name: &str) -> Self {
        let mut draft = Self::default();
        draft.words.push(("done".into(), None));
        draft.field("stage", name)
    }

    /// A record that only informs.
    pub fn note(msg: &str) -> Self {
        Self::default().msg(msg)
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.words.push((key.into(), Some(value.as_ref().into())));
        self
    }

    /// Adds a field if there is something to put into it.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// Adds all that another one holds.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.words.extend(other.words);
        self
    }

    /// Adds the sentence for people.
    #[must_use]
    pub fn msg(self, text: impl AsRef<str>) -> Self {
        self.field("msg", text)
    }

    /// The finished line, without its newline.
    pub fn line(&self, time: Moment, tool: &str, pid: u32, run: &str) -> String {
        let mut line = String::new();
        logfmt::push(&mut line, "time", &clock::stamp(time));
        logfmt::push(&mut line, "tool", tool);
        logfmt::push(&mut line, "pid", &pid.to_string());
        logfmt::push(&mut line, "run", run);
        for (key, value) in &self.words {
            match value {
                Some(value) => logfmt::push(&mut line, key, value),
                None => logfmt::push_word(&mut line, key),
            }
        }
        let sum = format!("{:08x}", crc32fast::hash(line.as_bytes()));
        logfmt::push(&mut line, "sum", &sum);
        line
    }
}

impl Record {
    /// Reads a line; `None` if it is no record: torn, empty or somebody's scribble.
    pub fn parse(line: &str) -> Option<Self> {
        let pairs = logfmt::parse(line)?;
        let whole = match line.rsplit_once(" sum=") {
            Some((before, sum)) => {
                if sum != format!("{:08x}", crc32fast::hash(before.as_bytes())) {
                    return None;
                }
                true
            }
            None => false,
        };
        let record = Self { pairs, whole };
        (record.time().is_some() && record.get("run").is_some()).then_some(record)
    }

    /// Whether it carries a sum, and so was written whole by one of us.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The value of a key; of a repeated one the last.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// All pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// When it was written.
    pub fn time(&self) -> Option<Moment> {
        clock::parse(self.get("time")?).ok()
    }

    /// The state it carries the run into; only a whole record can.
    pub fn state(&self) -> Option<State> {
        self.whole.then(|| self.get("state").and_then(State::from_word))?
    }

    /// A state of a whole record that we do not know: a newer patchflag wrote it, and acting on an older state would be wrong.
    pub fn strange_state(&self) -> Option<&str> {
        self.get("state").filter(|word| self.whole && State::from_word(word).is_none())
    }

    /// The verdict it holds; only a whole record can.
    pub fn verdict(&self) -> Option<Verdict> {
        self.whole.then(|| self.get("verdict").and_then(Verdict::from_word))?
    }

    /// The grant that it says is held (`grant`), given back (`released`) or gone (`lost`); only of a whole record, for half a name
    /// is another lock's.
    pub fn grant(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|_| self.whole)
    }

    /// The stage that it says is done. `patch-stage` never writes without a sum: such a record is torn, and `db` could have been
    /// the beginning of `db-dump`.
    pub fn stage_done(&self) -> Option<&str> {
        self.get("done")?;
        if !self.whole && self.get("tool") == Some("patch-stage") {
            return None;
        }
        self.get("stage").filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(draft: &Draft) -> String {
        draft.line(clock::parse("2026-11-21T02:00:07Z").unwrap(), "grab-patch", 812, "R1")
    }

    #[test]
    fn a_record_has_the_shape_of_the_contract() {
        let text = line(&Draft::state(State::Staged).msg("9 packages").field("install_dir", "/var/lib/patch/x"));
        assert!(
            text.starts_with(
                "time=2026-11-21T02:00:07Z tool=grab-patch pid=812 run=R1 state=staged msg=\"9 packages\""
            ),
            "{text}"
        );
    }

    #[test]
    fn a_record_cut_anywhere_changes_no_state() {
        let text = line(&Draft::state(State::Staged).field("install_dir", "/var/lib/patch/x"));
        assert_eq!(Record::parse(&text).unwrap().state(), Some(State::Staged));
        for end in 0..text.len() {
            let state = Record::parse(&text[..end]).and_then(|r| r.state());
            assert_eq!(state, None, "{}", &text[..end]);
        }
    }

    #[test]
    fn a_stage_s_record_cut_anywhere_is_no_other_stage_s() {
        let draft = Draft::stage_done("db-dump");
        let text = draft.line(clock::parse("2026-11-21T02:00:07Z").unwrap(), "patch-stage", 812, "R1");
        assert_eq!(Record::parse(&text).unwrap().stage_done(), Some("db-dump"));
        for end in 0..text.len() {
            let record = Record::parse(&text[..end]);
            assert_eq!(record.as_ref().and_then(Record::stage_done), None, "{}", &text[..end]);
        }
    }

    #[test]
    fn a_changed_record_is_none() {
        let text = line(&Draft::state(State::Staged)).replace("staged", "failed");
        assert!(Record::parse(&text).is_none());
    }

    #[test]
    fn a_stage_of_somebody_else_counts_without_a_sum_and_cannot_change_the_state() {
        let record = Record::parse("time=2026-11-21T02:00:07Z tool=db run=R1 done stage=db state=installed").unwrap();
        assert_eq!(record.stage_done(), Some("db"));
        assert_eq!(record.state(), None);
    }
}
