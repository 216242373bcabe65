//! Standard output that a reader may close: `imn eval .. | head` ends without a word.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};

/// As `println!`, which panics where the reader has gone.
macro_rules! out {
    ($($arguments:tt)*) => {
        $crate::output::line(format_args!($($arguments)*))
    };
}

/// Prints a line; ends the program where it cannot.
pub(crate) fn line(line: Arguments) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout
        .write_fmt(line)
        .and_then(|()| stdout.write_all(b"\n"))
    {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("imn: cannot write to standard output: {error}");
        std::process::exit(1);
    }
}
