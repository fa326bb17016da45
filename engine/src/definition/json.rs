//! JSON, strictly: no comments, no trailing commas, no bare words.

use jsonc_parser::Scanner;
use jsonc_parser::tokens::Token;

use super::message;
use super::node::{MapBuilder, Node, Span, Value};
use super::report::Report;
use super::source::Source;
use super::syntax_message;
use super::yaml::DEPTH_MAX;

/// Reads the tree; `None` after a mistake that makes the rest unreadable. An empty file is null.
pub(super) fn parse(source: &Source, report: &mut Report) -> Option<Node> {
    let mut reader = Reader { scanner: Scanner::new(source.text()), source, report };
    let Some((token, span)) = reader.next()? else { return Some(Node::new(source.span(0, 0), Value::Null)) };
    let root = reader.value(token, span, 0)?;
    if let Some((_, span)) = reader.next()? {
        reader.report.error(span, syntax_message::json_second_value()).hide_secret_line();
        return None;
    }
    Some(root)
}

struct Reader<'a, 'r, 's> {
    scanner: Scanner<'a>,
    source: &'a Source,
    report: &'r mut Report<'s>,
}

/// A token and its place; the outer `None` is a mistake, the inner one the end of the text.
type Next<'a> = Option<Option<(Token<'a>, Span)>>;

impl<'a> Reader<'a, '_, '_> {
    fn next(&mut self) -> Next<'a> {
        match self.scanner.scan() {
            Ok(None) => Some(None),
            Ok(Some(Token::CommentLine(_) | Token::CommentBlock(_))) => self.refuse(syntax_message::json_comment()),
            Ok(Some(token)) => Some(Some((token, self.span()))),
            Err(error) => {
                let span = self.source.span(error.range().start, error.range().end);
                self.report.error(span, syntax_message::json_syntax(&error.kind().to_string())).hide_secret_line();
                None
            }
        }
    }

    fn span(&self) -> Span {
        self.source.span(self.scanner.token_start(), self.scanner.token_end())
    }

    fn refuse<T>(&mut self, message: message::Message) -> Option<T> {
        let span = self.span();
        self.report.error(span, message).hide_secret_line();
        None
    }

    /// The next token, the end of the text being a mistake.
    fn expect(&mut self, what: &str) -> Option<(Token<'a>, Span)> {
        match self.next()? {
            Some(next) => Some(next),
            None => self.refuse(syntax_message::json_ended(what)),
        }
    }

    fn value(&mut self, token: Token<'a>, span: Span, depth: usize) -> Option<Node> {
        let value = match token {
            Token::OpenBrace | Token::OpenBracket if depth == DEPTH_MAX => {
                return self.refuse(message::too_deep(DEPTH_MAX));
            }
            Token::OpenBrace => self.map(depth)?,
            Token::OpenBracket => self.list(depth)?,
            Token::String(_) => Value::String(self.string(span)?),
            Token::Number(text) => self.number(text)?,
            Token::Boolean(flag) => Value::Bool(flag),
            Token::Null => Value::Null,
            Token::Word(word) => return self.refuse(syntax_message::json_word(word)),
            other => return self.refuse(syntax_message::json_expected("a value", other.as_str())),
        };
        Some(Node::new(span, value))
    }

    /// The scanner is lenient (single quotes, line breaks), so the token's own text is decoded strictly.
    fn string(&mut self, span: Span) -> Option<String> {
        match serde_json::from_str(self.source.slice(span)) {
            Ok(text) => Some(text),
            Err(_) => self.refuse(syntax_message::json_string()),
        }
    }

    /// As [`Reader::string`]: hexadecimal numbers and a leading `+` are refused here.
    fn number(&mut self, text: &str) -> Option<Value> {
        match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(signed), ..) => Some(Value::Int(signed.into())),
                (_, Some(unsigned), _) => Some(Value::Int(unsigned.into())),
                (.., Some(float)) if float.is_finite() && text.contains(['.', 'e', 'E']) => Some(Value::Float(float)),
                _ => self.refuse(syntax_message::json_number(text)),
            },
            Err(_) => self.refuse(syntax_message::json_number(text)),
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            let (token, span) = self.expect("`]`")?;
            match token {
                Token::CloseBracket if items.is_empty() => return Some(Value::List(items)),
                Token::CloseBracket => return self.refuse(syntax_message::json_trailing_comma()),
                token => items.push(self.value(token, span, depth + 1)?),
            }
            match self.expect("`]`")?.0 {
                Token::Comma => {}
                Token::CloseBracket => return Some(Value::List(items)),
                other => return self.refuse(syntax_message::json_expected("`,` or `]`", other.as_str())),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        let mut map = MapBuilder::default();
        let mut empty = true;
        loop {
            let (token, key_span) = self.expect("`}`")?;
            let key = match token {
                Token::String(_) => self.string(key_span)?,
                Token::CloseBrace if empty => return Some(map.finish()),
                Token::CloseBrace => return self.refuse(syntax_message::json_trailing_comma()),
                Token::Word(word) => return self.refuse(syntax_message::json_word(word)),
                other => return self.refuse(syntax_message::json_expected("a key in double quotes", other.as_str())),
            };
            empty = false;
            let (token, _) = self.expect("`:`")?;
            if token != Token::Colon {
                return self.refuse(syntax_message::json_expected("`:`", token.as_str()));
            }
            let (token, span) = self.expect("a value")?;
            let value = self.value(token, span, depth + 1)?;
            if let Err(first) = map.insert(key.clone(), key_span, value) {
                self.report.error(key_span, message::duplicate_key(&key, first));
            }
            match self.expect("`}`")?.0 {
                Token::Comma => {}
                Token::CloseBrace => return Some(map.finish()),
                other => return self.refuse(syntax_message::json_expected("`,` or `}`", other.as_str())),
            }
        }
    }
}
