//! The `apyfal` command.

fn main() -> std::process::ExitCode {
    apyfal_cli::main(std::env::args_os().collect())
}
