//! What a run would do: which modules, in which order, and which not and why. A dry run and a real one go by the same plan.

use super::graph::{self, Needs};
use super::manifest::Manifest;
use crate::error::{Error, Result};

/// The steps, each after all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they would run one by one.
    pub steps: Vec<Step>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The place of its module in the manifest.
    pub module: usize,
    /// The steps that it needs.
    pub needs: Vec<usize>,
    /// The place of the disabled module without which it cannot run.
    pub lacks: Option<usize>,
}

impl Plan {
    /// The plan for these modules and all that they need; without names for all below the entry point, and without one for all.
    ///
    /// A module that is disabled is no step, and what only it needs is none either. Its parent runs without it; what requires it
    /// lacks it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is not there, or is disabled.
    pub fn new(manifest: &Manifest, names: &[String]) -> Result<Self> {
        let roots = roots(manifest, names)?;
        let is_on = |at: &usize| manifest.modules[*at].enabled;
        let all = manifest.needs();
        let needs: Needs = (0..manifest.modules.len()).map(|at| all.of(at).iter().copied().filter(is_on)).collect();
        let order = graph::order(&needs, roots.into_iter().filter(is_on));
        let mut step_of = vec![usize::MAX; manifest.modules.len()];
        for (step, module) in order.iter().enumerate() {
            step_of[*module] = step;
        }
        let step = |module: &usize| Step {
            module: *module,
            needs: needs.of(*module).iter().map(|need| step_of[*need]).collect(),
            lacks: manifest.modules[*module].requires.iter().copied().find(|need| !is_on(need)),
        };
        Ok(Self { steps: order.iter().map(step).collect() })
    }

    /// What each step needs, for the course.
    pub fn needs(&self) -> Vec<Vec<usize>> {
        self.steps.iter().map(|step| step.needs.clone()).collect()
    }
}

fn roots(manifest: &Manifest, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok(manifest.entrypoint.map_or_else(|| (0..manifest.modules.len()).collect(), |entry| vec![entry]));
    }
    let roots = manifest.find_all(names)?;
    match roots.iter().find(|at| !manifest.modules[**at].enabled) {
        Some(off) => {
            let name = &manifest.modules[*off].name;
            Err(Error::Usage(format!("module {name} is disabled; set its \"enabled\" to true in the manifest")))
        }
        None => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        Manifest::parse(text, "m").unwrap()
    }

    fn planned(manifest: &Manifest, names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let plan = Plan::new(manifest, &names).unwrap();
        let name = |at: usize| manifest.modules[at].name.to_string();
        let words = |step: &Step| match step.lacks {
            Some(lacks) => format!("{} without {}", name(step.module), name(lacks)),
            None => name(step.module),
        };
        plan.steps.iter().map(words).collect()
    }

    #[test]
    fn a_run_without_names_takes_all_below_the_entry_point_children_first() {
        let all = r#"{"updates": [{"name": "other"}, {"name": "top", "children": ["b", "a"]}, {"name": "a", "requires": ["base"]},
            {"name": "b"}, {"name": "base"}]"#;
        assert_eq!(planned(&manifest(&format!("{all}, \"entrypoint\": \"top\"}}")), &[]), ["b", "base", "a", "top"]);
        assert_eq!(planned(&manifest(&format!("{all}}}")), &[]), ["other", "b", "base", "a", "top"]);
        assert_eq!(planned(&manifest(&format!("{all}}}")), &["a"]), ["base", "a"]);
    }

    #[test]
    fn a_disabled_child_is_left_out_and_what_requires_a_disabled_module_lacks_it() {
        let all = manifest(
            r#"{"updates": [{"name": "top", "children": ["off", "b"]}, {"name": "off", "enabled": false, "children": ["deep"]},
            {"name": "deep"}, {"name": "b", "requires": ["off"]}], "entrypoint": "top"}"#,
        );
        assert_eq!(planned(&all, &[]), ["b without off", "top"]);
        let words = Plan::new(&all, &["off".into()]).unwrap_err().to_string();
        assert!(words.contains("off is disabled"), "{words}");
    }

    #[test]
    fn a_name_that_is_not_there_is_an_error_with_the_nearest_one() {
        let all = manifest(r#"{"updates": [{"name": "adblock"}]}"#);
        let words = Plan::new(&all, &["adblok".into()]).unwrap_err().to_string();
        assert_eq!(words, "there is no module adblok in the manifest; did you mean adblock?");
    }
}
