//! A run's course: which step may begin, and what is skipped after one that did not succeed. Pure: no module, no clock.
//!
//! Steps are numbered in the order in which they would run one by one. Of those that may begin, the first does. After a failure only
//! what needs the failed step is skipped; everything else goes on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Where a run stands.
#[derive(Debug)]
pub struct Course {
    /// Who waits for each step.
    heirs: Vec<Vec<usize>>,
    /// For how many steps each still waits.
    waits: Vec<usize>,
    settled: Vec<bool>,
    ready: BinaryHeap<Reverse<usize>>,
    open: usize,
}

/// A step that will not run, and the step because of which it will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// The step.
    pub step: usize,
    /// What it needs, directly, and lacks.
    pub lacks: usize,
}

impl Course {
    /// A course over steps that need others, each of a lower number.
    pub fn new(needs: &[Vec<usize>]) -> Self {
        let mut heirs = vec![Vec::new(); needs.len()];
        let mut waits = vec![0; needs.len()];
        for (step, its) in needs.iter().enumerate() {
            let mut its = its.clone();
            its.sort_unstable();
            its.dedup();
            waits[step] = its.len();
            for need in its {
                heirs[need].push(step);
            }
        }
        let ready = (0..needs.len()).filter(|step| waits[*step] == 0).map(Reverse).collect();
        Self { heirs, open: needs.len(), settled: vec![false; needs.len()], waits, ready }
    }

    /// The next step that may begin now; each is given once.
    pub fn begin(&mut self) -> Option<usize> {
        while let Some(Reverse(step)) = self.ready.pop() {
            if !self.settled[step] {
                return Some(step);
            }
        }
        None
    }

    /// A step has succeeded.
    pub fn succeeded(&mut self, step: usize) {
        self.settle(step);
        for at in 0..self.heirs[step].len() {
            let heir = self.heirs[step][at];
            self.waits[heir] -= 1;
            if self.waits[heir] == 0 {
                self.ready.push(Reverse(heir));
            }
        }
    }

    /// A step has not succeeded: everything that needs it, directly or not, is skipped, in the order of the steps.
    pub fn failed(&mut self, step: usize) -> Vec<Skipped> {
        self.settle(step);
        let (mut skipped, mut at) = (vec![], vec![step]);
        while let Some(lacks) = at.pop() {
            for heir in self.heirs[lacks].clone() {
                if !self.settled[heir] {
                    self.settle(heir);
                    skipped.push(Skipped { step: heir, lacks });
                    at.push(heir);
                }
            }
        }
        skipped.sort_unstable_by_key(|skipped| skipped.step);
        skipped
    }

    /// Whether every step has ended or is skipped.
    pub fn is_over(&self) -> bool {
        self.open == 0
    }

    fn settle(&mut self, step: usize) {
        if !std::mem::replace(&mut self.settled[step], true) {
            self.open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_step_begins_when_all_that_it_needs_has_succeeded() {
        let mut course = Course::new(&[vec![], vec![], vec![0, 1, 1], vec![2]]);
        assert_eq!((course.begin(), course.begin(), course.begin()), (Some(0), Some(1), None));
        course.succeeded(1);
        assert_eq!(course.begin(), None);
        course.succeeded(0);
        assert_eq!((course.begin(), course.begin()), (Some(2), None));
        course.succeeded(2);
        assert_eq!(course.begin(), Some(3));
        course.succeeded(3);
        assert!(course.is_over());
    }

    #[test]
    fn who_is_skipped_is_told_what_it_lacks() {
        let mut course = Course::new(&[vec![], vec![0], vec![1], vec![]]);
        assert_eq!((course.begin(), course.begin()), (Some(0), Some(3)));
        let skipped = course.failed(0);
        assert_eq!(skipped, [Skipped { step: 1, lacks: 0 }, Skipped { step: 2, lacks: 1 }]);
        course.succeeded(3);
        assert!(course.is_over());
    }

    proptest! {
        #[test]
        fn exactly_those_run_that_do_not_depend_on_a_failure(
            edges in proptest::collection::vec((0..20usize, 0..20usize), 0..50),
            bad in proptest::collection::vec(any::<bool>(), 20),
            jobs in 1..5usize,
            turns in proptest::collection::vec(any::<usize>(), 20),
        ) {
            let mut needs = vec![Vec::new(); 20];
            for (a, b) in edges {
                if a != b {
                    needs[a.max(b)].push(a.min(b));
                }
            }
            let mut course = Course::new(&needs);
            let (mut ran, mut skipped, mut working) = (vec![], vec![], vec![]);
            for turn in turns.into_iter().cycle() {
                while working.len() < jobs && let Some(step) = course.begin() {
                    working.push(step);
                }
                if working.is_empty() {
                    break;
                }
                let step = working.remove(turn % working.len());
                ran.push(step);
                if bad[step] {
                    skipped.extend(course.failed(step).into_iter().map(|skipped| skipped.step));
                } else {
                    course.succeeded(step);
                }
            }
            prop_assert!(course.is_over());
            let mut spoilt = [false; 20];
            for step in 0..20 {
                spoilt[step] = needs[step].iter().any(|need| spoilt[*need] || bad[*need]);
                prop_assert_eq!(ran.iter().filter(|ran| **ran == step).count(), usize::from(!spoilt[step]));
                prop_assert_eq!(skipped.iter().filter(|other| **other == step).count(), usize::from(spoilt[step]));
            }
        }
    }
}
