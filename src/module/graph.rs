//! What needs what: circles, and an order in which everything comes after what it needs. Nodes are numbers; the work is in
//! proportion to the nodes and edges, and no chain is too long for the stack.

/// What each node needs; of ten thousand nodes as cheap as of one.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    all: Vec<usize>,
    ends: Vec<usize>,
}

impl Needs {
    /// What a node needs.
    pub fn of(&self, node: usize) -> &[usize] {
        let begin = node.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[begin..self.ends[node]]
    }

    fn count(&self) -> usize {
        self.ends.len()
    }
}

/// Of each node, from the first, what it needs.
impl<N: IntoIterator<Item = usize>> FromIterator<N> for Needs {
    fn from_iter<I: IntoIterator<Item = N>>(nodes: I) -> Self {
        let mut needs = Self::default();
        for node in nodes {
            needs.all.extend(node);
            needs.ends.push(needs.all.len());
        }
        needs
    }
}

/// A circle of needs, as the nodes on it with the first again at the end; `None` if there is none.
pub fn circle(needs: &Needs) -> Option<Vec<usize>> {
    let mut walk = Walk::new(needs);
    (0..needs.count()).find_map(|root| walk.from(root))
}

/// Everything that the roots need and the roots themselves, each once and after all that it needs; what is needed by the first root
/// comes first.
pub fn order(needs: &Needs, roots: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut walk = Walk::new(needs);
    for root in roots {
        walk.from(root);
    }
    walk.done
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    Open,
    Closed,
}

/// A walk in depth, its path kept by hand.
struct Walk<'a> {
    needs: &'a Needs,
    marks: Vec<Mark>,
    path: Vec<(usize, usize)>,
    done: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(needs: &'a Needs) -> Self {
        Self { needs, marks: vec![Mark::New; needs.count()], path: Vec::new(), done: Vec::new() }
    }

    /// Walks from a node; the circle that it meets, if it meets one.
    fn from(&mut self, root: usize) -> Option<Vec<usize>> {
        self.enter(root);
        while let Some((node, next)) = self.path.last_mut() {
            let Some(&need) = self.needs.of(*node).get(*next) else {
                self.marks[*node] = Mark::Closed;
                self.done.push(*node);
                self.path.pop();
                continue;
            };
            *next += 1;
            match self.marks[need] {
                Mark::Closed => {}
                Mark::New => self.enter(need),
                Mark::Open => {
                    let begin = self.path.iter().position(|(node, _)| *node == need).unwrap_or_default();
                    return Some(self.path[begin..].iter().map(|(node, _)| *node).chain([need]).collect());
                }
            }
        }
        None
    }

    fn enter(&mut self, node: usize) {
        if self.marks[node] == Mark::New {
            self.marks[node] = Mark::Open;
            self.path.push((node, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_circle_is_named_from_where_it_closes() {
        let circle = |needs: &[&[usize]]| circle(&needs.iter().map(|its| its.iter().copied()).collect());
        assert_eq!(circle(&[&[1], &[2], &[3], &[1]]), Some(vec![1, 2, 3, 1]));
        assert_eq!(circle(&[&[0]]), Some(vec![0, 0]));
        assert_eq!(circle(&[&[1, 2], &[3], &[3], &[]]), None);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_does_not_fill_the_stack() {
        let needs: Needs = (0..100_000usize).map(|n| n.checked_sub(1)).collect();
        assert_eq!(circle(&needs), None);
        assert_eq!(order(&needs, [99_999]), (0..100_000).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn everything_comes_once_and_after_what_it_needs(edges in proptest::collection::vec((0..30usize, 0..30usize), 0..80)) {
            let mut needs = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b {
                    needs[a.max(b)].push(a.min(b));
                }
            }
            let needs: Needs = needs.into_iter().collect();
            prop_assert_eq!(circle(&needs), None);
            let order = order(&needs, [29, 7]);
            for (at, node) in order.iter().enumerate() {
                prop_assert!(!order[..at].contains(node));
                prop_assert!(needs.of(*node).iter().all(|need| order[..at].contains(need)));
            }
        }
    }
}
