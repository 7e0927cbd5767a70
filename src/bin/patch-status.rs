//! See `patch-status(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::patch_status::main()
}
