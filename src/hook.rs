//! Script directories: who may run, in which order, with what, for how long.
//!
//! What root runs from a directory is judged on its open descriptor, and so is every directory above it. A script that is unfit
//! stops everything before the first one runs: skipping it would be agreeing without having been asked.
//!
//! There are two ways to run them: [`run_dir`] goes through a directory and keeps the last of what each script said;
//! [`list`](list::list) and [`run_script`] go step by step, and what a script says is heard while it works.

mod judge;
pub mod list;
mod listen;
mod run;
pub mod select;
mod shebang;
pub mod words;
mod work;

pub use judge::Whose;
pub use listen::{Heard, Left};
pub use run::{Failing, Ran, judge_dir, run_dir};
pub use shebang::fault as shebang_fault;
pub use work::{Done, Ended, Terms, run_command, run_program, run_script};
