//! Runs scenarios without the rest of the program: `cargo run -p chordage-sim --release --example run -- FILE...`.
//! With `-` the scenario is read from standard input.

use std::{io::Read, path::Path, process::ExitCode};

use chordage_sim::scenario::Scenario;

fn main() -> ExitCode {
    let mut passed = true;
    for file in std::env::args().skip(1) {
        let scenario = if file == "-" {
            let mut text = String::new();
            match std::io::stdin().read_to_string(&mut text) {
                Ok(_) => Scenario::parse(&text),
                Err(error) => {
                    eprintln!("cannot read standard input: {error}");
                    return ExitCode::FAILURE;
                }
            }
        } else {
            Scenario::read(Path::new(&file))
        };
        match scenario.and_then(|scenario| scenario.run()) {
            Ok(report) => {
                println!("{}", report.to_json());
                passed &= report.passed();
            }
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
