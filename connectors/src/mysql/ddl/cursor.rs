//! A place in a row of tokens.

use aqueduct_model::RelationName;

use super::lexer::{Dialect, Token};

/// Tokens that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub tokens: &'a [Token],
    pub dialect: Dialect,
    /// The default database.
    pub database: &'a str,
}

impl<'a> Cursor<'a> {
    pub fn peek(&self) -> Option<&'a Token> {
        self.tokens.first()
    }

    pub fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    pub fn is_at_end(&self) -> bool {
        self.tokens.is_empty()
    }

    /// True when a keyword comes.
    pub fn is(&self, keyword: &str) -> bool {
        self.is_nth(0, keyword)
    }

    /// True when the token behind `n` others is a keyword.
    pub fn is_nth(&self, n: usize, keyword: &str) -> bool {
        matches!(self.tokens.get(n), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    /// True when one of these keywords comes.
    pub fn is_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    pub fn is_symbol(&self, symbol: char) -> bool {
        self.peek() == Some(&Token::Symbol(symbol))
    }

    /// Passes a keyword where it comes.
    pub fn eat(&mut self, keyword: &str) -> bool {
        let found = self.is(keyword);
        if found {
            self.next();
        }
        found
    }

    /// Passes several keywords where all of them come.
    pub fn eat_all(&mut self, keywords: &[&str]) -> bool {
        let found = keywords.iter().enumerate().all(|(n, keyword)| self.is_nth(n, keyword));
        if found {
            self.tokens = &self.tokens[keywords.len()..];
        }
        found
    }

    /// Passes one of several keywords where it comes.
    pub fn eat_any(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.eat(keyword))
    }

    pub fn eat_symbol(&mut self, symbol: char) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    /// A name, in quotes or not.
    pub fn name(&mut self) -> Option<String> {
        match self.peek()? {
            Token::Word(name) | Token::Name(name) | Token::Number(name) => {
                self.next();
                Some(name.clone())
            }
            // Some statements quote names as texts.
            Token::Text(name) => {
                self.next();
                Some(name.clone())
            }
            Token::Symbol(_) => None,
        }
    }

    /// A table's name, with its database or in the default one.
    pub fn table(&mut self) -> Option<RelationName> {
        self.eat_symbol('.');
        let first = self.name()?;
        let (database, table) =
            if self.eat_symbol('.') { (first, self.name()?) } else { (self.database.to_owned(), first) };
        Some(table_name(database, table, self.dialect))
    }

    /// The names in parentheses, each maybe with a prefix length and a direction; empty for expressions.
    pub fn key_columns(&mut self) -> Option<Vec<String>> {
        let mut inside = self.parentheses()?;
        let mut columns = Vec::new();
        while !inside.is_at_end() {
            let column = inside.name()?;
            columns.push(column);
            while !inside.is_at_end() && !inside.eat_symbol(',') {
                inside.pass()?;
            }
        }
        Some(columns)
    }

    /// What is inside the parentheses that come; passes them.
    pub fn parentheses(&mut self) -> Option<Cursor<'a>> {
        if !self.is_symbol('(') {
            return None;
        }
        let mut depth = 0usize;
        for (i, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let inside = Cursor { tokens: &self.tokens[1..i], ..*self };
                self.tokens = &self.tokens[i + 1..];
                return Some(inside);
            }
        }
        None
    }

    /// Passes one token, or all that is in the parentheses that come. `None` when they are not closed.
    pub fn pass(&mut self) -> Option<()> {
        if self.is_symbol('(') { self.parentheses().map(|_| ()) } else { self.next().map(|_| ()) }
    }

    /// Everything up to the next comma outside of parentheses; passes the comma.
    pub fn item(&mut self) -> Cursor<'a> {
        let mut depth = 0usize;
        let end = self.tokens.iter().position(|token| {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth = depth.saturating_sub(1),
                Token::Symbol(',') => return depth == 0,
                _ => {}
            }
            false
        });
        let end = end.unwrap_or(self.tokens.len());
        let item = Cursor { tokens: &self.tokens[..end], ..*self };
        self.tokens = self.tokens.get(end + 1..).unwrap_or_default();
        item
    }
}

/// A table's name as the server keeps it.
pub(super) fn table_name(database: String, table: String, dialect: Dialect) -> RelationName {
    let kept = |name: String| if dialect.lower_case_names { name.to_lowercase() } else { name };
    RelationName { catalog: None, schema: Some(kept(database)), table: kept(table) }
}
