//! See `pull-cluster(8)`.
fn main() -> std::process::ExitCode {
    patchflag::cmd::pull_cluster::main()
}
