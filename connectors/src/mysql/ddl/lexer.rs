//! SQL text as a row of tokens.

/// What decides how a text is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Which comments are run, and what `JSON` means.
    pub mariadb: bool,
    /// The server's version, as `80031` or `101119`: versioned comments up to it are run.
    pub version: u32,
    /// `sql_mode=ANSI_QUOTES`: `"x"` is a name.
    pub ansi_quotes: bool,
    /// `sql_mode=NO_BACKSLASH_ESCAPES`: `\` is itself.
    pub no_backslash_escapes: bool,
    /// `lower_case_table_names` is not 0: names of databases and tables are kept in lower case.
    pub lower_case_names: bool,
}

impl Dialect {
    /// The dialect of the server that writes `8.0.31` or `10.11.19-MariaDB-log` as its version.
    pub fn of_server(server_version: &str) -> Self {
        let text = server_version.strip_prefix("5.5.5-").unwrap_or(server_version);
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0).min(99);
        let version = next() * 10_000 + next() * 100 + next();
        Self { mariadb: server_version.contains("MariaDB"), version, ..Self::default() }
    }

    /// MariaDB passes over what MySQL 5.7 and later say to themselves.
    fn runs(self, for_mariadb: bool, version: u32) -> bool {
        let foreign = if self.mariadb { (50_700..100_000).contains(&version) && !for_mariadb } else { for_mariadb };
        !foreign && version <= self.version
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name without quotes.
    Word(String),
    /// A name in quotes.
    Name(String),
    /// A string.
    Text(String),
    /// Digits.
    Number(String),
    /// Anything else.
    Symbol(char),
}

/// Reads a text. Comments are left out, but not those that the server runs.
pub(super) fn tokens(sql: &str, dialect: Dialect) -> Vec<Token> {
    let mut lexer = Lexer { rest: sql, dialect, inside_comment: false };
    std::iter::from_fn(|| lexer.next()).collect()
}

struct Lexer<'a> {
    rest: &'a str,
    dialect: Dialect,
    /// Inside a comment that is run: `*/` means nothing.
    inside_comment: bool,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<Token> {
        self.skip_space();
        let first = self.rest.chars().next()?;
        match first {
            '`' => Some(Token::Name(self.quoted('`', false))),
            '"' if self.dialect.ansi_quotes => Some(Token::Name(self.quoted('"', false))),
            '\'' | '"' => Some(Token::Text(self.quoted(first, !self.dialect.no_backslash_escapes))),
            _ if is_word(first) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                let word = self.take(end).to_owned();
                let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
                Some(if is_number { Token::Number(word) } else { Token::Word(word) })
            }
            _ => {
                self.take(first.len_utf8());
                Some(Token::Symbol(first))
            }
        }
    }

    fn take(&mut self, bytes: usize) -> &str {
        let (head, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        head
    }

    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\0');
            let rest = self.rest;
            if self.inside_comment && rest.starts_with("*/") {
                self.inside_comment = false;
                self.rest = &rest[2..];
            } else if rest.starts_with("/*") {
                self.comment();
            } else if rest.starts_with('#') || is_dash_comment(rest) {
                self.rest = rest.find('\n').map_or("", |end| &rest[end..]);
            } else {
                return;
            }
        }
    }

    /// Passes a comment, or enters one that is run: `/*! …*/`, `/*!50100 …*/`, `/*M!100301 …*/`.
    fn comment(&mut self) {
        let body = &self.rest[2..];
        let (for_mariadb, versioned) = match body.strip_prefix("M!") {
            Some(versioned) => (true, Some(versioned)),
            None => (false, body.strip_prefix('!')),
        };
        if let Some(versioned) = versioned {
            let digits = versioned.bytes().take(6).take_while(u8::is_ascii_digit).count();
            // Five digits are a version of MySQL, six of MariaDB or of MySQL 10; fewer are none.
            let digits = if digits < 5 { 0 } else { digits };
            let version = versioned[..digits].parse().unwrap_or(0);
            if self.dialect.runs(for_mariadb, version) {
                self.inside_comment = true;
                self.rest = &versioned[digits..];
                return;
            }
        }
        self.rest = body.find("*/").map_or("", |end| &body[end + 2..]);
    }

    /// What is between quotes; a doubled quote is one, and the end of the text is an end, too.
    fn quoted(&mut self, quote: char, escapes: bool) -> String {
        let mut text = String::new();
        let mut characters = self.rest[quote.len_utf8()..].chars();
        while let Some(c) = characters.next() {
            if c == quote {
                if !characters.as_str().starts_with(quote) {
                    break;
                }
                characters.next();
                text.push(quote);
            } else if c == '\\' && escapes {
                match characters.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('0') => text.push('\0'),
                    Some('b') => text.push('\u{8}'),
                    Some('Z') => text.push('\u{1a}'),
                    Some(other) => text.push(other),
                    None => {}
                }
            } else {
                text.push(c);
            }
        }
        self.rest = characters.as_str();
        text
    }
}

/// `--` and a space, or the end.
fn is_dash_comment(rest: &str) -> bool {
    rest.strip_prefix("--")
        .is_some_and(|behind| behind.chars().next().is_none_or(|c| c.is_whitespace() || c.is_control()))
}
