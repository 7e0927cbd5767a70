//! See `patchit(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patchit::main()
}
