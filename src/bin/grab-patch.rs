//! See `grab-patch(8)`.

fn main() -> std::process::ExitCode {
    patchflag::cmd::grab_patch::main()
}
