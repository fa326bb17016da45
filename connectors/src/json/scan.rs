//! A line becomes cells: one for every path that some column has.

use std::borrow::Cow;

use super::syntax::{Fault, Quoted, Walk, unescape};
use crate::text_files::{COPIED, Cell, Cells, QUOTED, Scan, Scanner};

/// Finds the records of JSON lines: every one has a cell per path, in the order in which the paths were added.
///
/// A string's cell is quoted; a number, a truth value, an object or an array is the text that the file has; `null` and a
/// field that is not there are empty and not quoted.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonScanner {
    root: Node,
    width: usize,
    /// Fields of the outermost object that no path begins with are mistakes.
    pub(super) is_closed: bool,
}

/// The wanted fields of an object.
#[derive(Debug, Clone, Default)]
struct Node {
    fields: Vec<Field>,
    /// Where the next field is expected: most lines have theirs in the same order.
    next: usize,
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    place: Option<usize>,
    /// What is wanted of it if it is an object.
    inner: Node,
}

impl Node {
    fn find(&mut self, name: &[u8]) -> Option<usize> {
        let count = self.fields.len();
        for i in (self.next..count).chain(0..self.next.min(count)) {
            if self.fields[i].name.as_bytes() == name {
                self.next = i + 1;
                return Some(i);
            }
        }
        None
    }
}

impl JsonScanner {
    /// Adds a path, field names from the outside in, and says which cell of a record it is. The same path again is the
    /// same cell.
    pub(super) fn place(&mut self, path: &[&str]) -> usize {
        let mut node = &mut self.root;
        let Some((last, outer)) = path.split_last() else { return 0 };
        for name in outer {
            let i = node.entry(name);
            node = &mut node.fields[i].inner;
        }
        let i = node.entry(last);
        *node.fields[i].place.get_or_insert_with(|| {
            self.width += 1;
            self.width - 1
        })
    }

    /// How many cells a record has.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    fn record(&mut self, text: &[u8], at: usize, out: &mut Cells) -> Result<(), Refusal> {
        let first = out.cells.len();
        out.cells.resize(first + self.width, Cell::ABSENT);
        let mut line = Line { walk: Walk { text, at }, first, out };
        if line.walk.next() != Some(b'{') {
            return Err(Refusal::Syntax("the line is not an object"));
        }
        line.object(&mut self.root, self.is_closed)?;
        match line.walk.next() {
            None => Ok(()),
            Some(_) => Err(Refusal::Syntax("something stands behind the object")),
        }
    }
}

impl Node {
    fn entry(&mut self, name: &str) -> usize {
        if let Some(i) = self.fields.iter().position(|field| field.name == name) {
            return i;
        }
        self.fields.push(Field { name: name.to_owned(), place: None, inner: Self::default() });
        self.fields.len() - 1
    }
}

/// Why a line is refused.
enum Refusal {
    Syntax(Fault),
    /// A field is there twice.
    Twice(String),
    /// A field is not known.
    Unknown(String),
    /// A field should be an object.
    NoObject(String),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Syntax(fault)
    }
}

impl Refusal {
    fn reason(self) -> String {
        match self {
            Self::Syntax(fault) => format!("it is not JSON: {fault}"),
            Self::Twice(field) => format!("it has the field {field} twice"),
            Self::Unknown(field) => {
                format!(
                    "it has a field {field} that the lines lacked from which types were inferred; name it in `columns`"
                )
            }
            Self::NoObject(field) => format!("field {field} is not an object"),
        }
    }
}

/// One record on its way.
struct Line<'a> {
    walk: Walk<'a>,
    first: usize,
    out: &'a mut Cells,
}

impl<'a> Line<'a> {
    /// Reads the object whose opening is next. As deep as the settings' paths, no deeper: the rest is walked over.
    fn object(&mut self, node: &mut Node, is_closed: bool) -> Result<(), Refusal> {
        self.walk.at += 1;
        if self.walk.next() == Some(b'}') {
            self.walk.at += 1;
            return Ok(());
        }
        loop {
            let key = self.walk.key()?;
            match node.find(&self.name(key)?) {
                Some(i) => self.field(&mut node.fields[i])?,
                None if is_closed => {
                    let name = self.name(key)?;
                    return Err(Refusal::Unknown(String::from_utf8_lossy(&name).into_owned()));
                }
                None => self.walk.value(1)?,
            }
            if self.walk.ends(b'}')? {
                return Ok(());
            }
        }
    }

    fn name(&self, key: Quoted) -> Result<Cow<'a, [u8]>, Fault> {
        let text = &self.walk.text[key.start..key.end];
        if !key.is_escaped {
            return Ok(Cow::Borrowed(text));
        }
        let mut name = Vec::with_capacity(text.len());
        unescape(text, &mut name)?;
        Ok(Cow::Owned(name))
    }

    fn field(&mut self, field: &mut Field) -> Result<(), Refusal> {
        let opening = self.walk.next();
        let start = self.walk.at;
        if !field.inner.fields.is_empty() {
            match opening {
                Some(b'{') => self.object(&mut field.inner, false)?,
                Some(b'n') => self.walk.value(1)?,
                _ => return Err(Refusal::NoObject(field.name.clone())),
            }
        }
        let Some(place) = field.place else { return Ok(()) };
        let cell = match opening {
            Some(b'"') => self.text()?,
            _ => {
                if field.inner.fields.is_empty() {
                    self.walk.value(1)?;
                }
                let is_null = opening == Some(b'n');
                Cell::new(start, if is_null { start } else { self.walk.at }, 0)
            }
        };
        let slot = &mut self.out.cells[self.first + place];
        if *slot != Cell::ABSENT {
            return Err(Refusal::Twice(field.name.clone()));
        }
        *slot = cell;
        Ok(())
    }

    fn text(&mut self) -> Result<Cell, Fault> {
        let string = self.walk.string()?;
        if !string.is_escaped {
            return Ok(Cell::new(string.start, string.end, QUOTED));
        }
        let from = self.out.copied.len();
        unescape(&self.walk.text[string.start..string.end], &mut self.out.copied)?;
        Ok(Cell::new(from, self.out.copied.len(), QUOTED | COPIED))
    }
}

impl Scanner for JsonScanner {
    const TOO_LONG: &'static str =
        "raise `max_line_bytes`, or check that the file has one object per line, and `encoding`";

    fn scan(&mut self, text: &[u8], at: usize, last: bool, out: &mut Cells) -> Scan {
        let (line, end) = match memchr::memchr(b'\n', &text[at..]) {
            Some(length) => (at + length, at + length + 1),
            None if last && at < text.len() => (text.len(), text.len()),
            None => return Scan::Incomplete { in_quotes: false },
        };
        if (Walk { text: &text[..line], at }).next().is_none() {
            return Scan::Skip { end };
        }
        let (cells, copied) = (out.cells.len(), out.copied.len());
        match self.record(&text[..line], at, out) {
            Ok(()) => Scan::Record { end, cells: self.width },
            Err(refusal) => {
                out.cells.truncate(cells);
                out.copied.truncate(copied);
                Scan::Bad { end, reason: refusal.reason() }
            }
        }
    }

    fn line_breaks(text: &[u8]) -> u64 {
        memchr::memchr_iter(b'\n', text).count() as u64
    }
}

/// Takes lines as they are: one cell each.
#[derive(Debug, Clone, Copy)]
pub(super) struct WholeLines;

impl Scanner for WholeLines {
    const TOO_LONG: &'static str = JsonScanner::TOO_LONG;

    fn scan(&mut self, text: &[u8], at: usize, last: bool, out: &mut Cells) -> Scan {
        let (line, end) = match memchr::memchr(b'\n', &text[at..]) {
            Some(length) => (at + length, at + length + 1),
            None if last && at < text.len() => (text.len(), text.len()),
            None => return Scan::Incomplete { in_quotes: false },
        };
        if (Walk { text: &text[..line], at }).next().is_none() {
            return Scan::Skip { end };
        }
        out.cells.push(Cell::new(at, line, 0));
        Scan::Record { end, cells: 1 }
    }

    fn line_breaks(text: &[u8]) -> u64 {
        JsonScanner::line_breaks(text)
    }
}
