//! How the demo looks: numbered phases, one line that moves, ticks behind what is done.

use std::io::{self, IsTerminal, Write};

/// Turns of the sign in front of the line that moves.
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// The standard output. Colours and the moving line only on a terminal.
pub(super) struct Screen {
    terminal: bool,
    colour: bool,
    phase: usize,
    turn: usize,
}

/// How a word is drawn.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Good,
    Bad,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        Self { terminal, colour, phase: 0, turn: 0 }
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&format!("\n  {}", self.paint(Style::Bold, text)));
    }

    /// Begins a numbered part.
    pub(super) fn phase(&mut self, text: &str) {
        self.phase += 1;
        let head = format!("{}  {text}", self.phase);
        self.line(&format!("\n  {}", self.paint(Style::Bold, &head)));
    }

    /// Something is done.
    pub(super) fn done(&self, text: &str) {
        self.line(&format!("     {} {text}", self.paint(Style::Good, "✓")));
    }

    /// Something was done to us.
    pub(super) fn struck(&self, text: &str) {
        self.line(&format!("     {} {text}", self.paint(Style::Bad, "✗")));
    }

    /// Lines of less weight.
    pub(super) fn block(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("       {}", self.paint(Style::Dim, line)));
        }
    }

    /// Lines as they are.
    pub(super) fn plain(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("       {line}"));
        }
    }

    /// The result, good or bad.
    pub(super) fn verdict(&self, good: bool, text: &str) {
        let style = if good { Style::Good } else { Style::Bad };
        self.line(&format!("\n  {}", self.paint(style, text)));
    }

    /// Renews the line that moves; nothing where there is no terminal.
    pub(super) fn live(&mut self, text: &str) {
        if self.terminal {
            self.turn = (self.turn + 1) % SPINNER.len();
            self.put(&format!("\r\x1b[2K     {} {text}", SPINNER[self.turn]));
        }
    }

    pub(super) fn line(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        let gap = text.len() - text.trim_start_matches('\n').len();
        self.put(&format!("{clear}{}{}\n", &text[..gap], &text[gap..]));
    }

    fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "1;32",
            Style::Bad => "1;31",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Whoever closed the output does not want to see more.
    fn put(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
