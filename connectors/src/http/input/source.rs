//! Pages become batches.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{
    BadRows, Batch, Epoch, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext,
};
use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::super::client::Client;
use super::super::json::Json;
use super::config::HttpInputConfig;
use super::kept::KeptPages;
use super::page::{self, Page, Raw};
use super::place::{Ask, Mark, Place};
use super::rows::{Layout, infer};

/// Most rows with the largest value whose digests a position holds; what lies beyond comes again with the next look.
const EDGE_ROWS_MAX: usize = 256;

type Fetch = Pin<Box<dyn Future<Output = Result<Raw>> + Send>>;

/// See the module.
pub(super) struct HttpInput {
    config: HttpInputConfig,
    client: Option<Arc<Client>>,
    kept: Option<KeptPages>,
    place: Place,
    layout: Option<Layout>,
    page: Option<Page>,
    /// A request under way: it goes on from poll to poll.
    fetch: Option<Fetch>,
    next_look: Option<Instant>,
}

impl HttpInput {
    pub(super) fn new(config: HttpInputConfig) -> Self {
        let place = Place::first(page::first(&config));
        Self { config, client: None, kept: None, place, layout: None, page: None, fetch: None, next_look: None }
    }

    /// The page at the place, from the folder or from the service; `None` when it does not come in time.
    async fn page(&mut self, wait: Duration) -> Result<Option<Page>> {
        let call = page::request(&self.config, &self.place)?;
        // What is asked for, not only where: a look that brought nothing leaves its number to the next one.
        let asked = page::digest(call.url.as_str().as_bytes());
        let found = match &self.kept {
            Some(kept) if self.fetch.is_none() => kept.find(self.place.page, &asked)?,
            _ => None,
        };
        let is_new = found.is_none();
        let raw = match found {
            Some(raw) => raw,
            None => {
                let client = self.client.clone().ok_or_else(|| Error::bug("a source is read before it is opened"))?;
                let fetch = self.fetch.get_or_insert_with(|| {
                    Box::pin(async move {
                        let answer = client.call(&call).await?;
                        page::accepted(&call, answer)
                    })
                });
                let Ok(fetched) = timeout(wait, fetch.as_mut()).await else { return Ok(None) };
                self.fetch = None;
                fetched?
            }
        };
        let page = page::read(&self.config, &self.place, &raw)?;
        if self.place.digest.as_ref().is_some_and(|digest| *digest != page.digest) {
            return Err(lost("the service gives another page than the one that was being read"));
        }
        let is_empty_look = page.rows.is_empty() && page.next.is_none() && self.place.of_look == 0;
        if let Some(kept) = self.kept.as_ref().filter(|_| is_new && !is_empty_look) {
            kept.keep(self.place.page, &asked, &raw)?;
        }
        if self.layout.is_none() && !page.rows.is_empty() {
            self.place.columns = infer(&page.rows)?;
            self.layout = Layout::new(&self.config, &self.place.columns)?;
        }
        Ok(Some(page))
    }

    /// Hands out rows of the page. `None` when all of them were passed over.
    fn rows(&mut self, page: &Page, end: usize, bad: &mut BadRows) -> Result<Option<Batch>> {
        let begin = usize::try_from(self.place.row).unwrap_or(usize::MAX);
        let mut rows = page.rows[begin..end].to_vec();
        let mut marks = Vec::new();
        if self.config.incremental.is_some() {
            rows.retain(|row| !self.is_known(row));
            marks = rows.iter().map(|row| self.mark(row)).collect();
        }
        let Some(layout) = &self.layout else {
            // Nothing but values that are no objects: there are no columns to put them in.
            return Err(Error::new(ErrorKind::Data, "the rows are no JSON objects")
                .with_setting("rows")
                .with_hint("let `rows` lead to a list of objects"));
        };
        let mut read = layout.read(&rows)?;
        if let Some(incremental) = &self.config.incremental {
            let is_refused = |row: usize| read.refused.iter().any(|(refused, _)| *refused == row);
            if marks.iter().enumerate().any(|(row, mark)| mark.is_none() && !is_refused(row)) {
                let text = format!("a row has no {} to go on from", incremental.column);
                return Err(Error::new(ErrorKind::Data, text)
                    .with_setting("incremental.column")
                    .with_hint("name a member that every row has, with a number or a time"));
            }
        }
        for (_, row) in read.refused.drain(..) {
            bad.reject(row)?;
        }
        for (row, mark) in rows.iter().zip(marks) {
            if let Some(mark) = mark {
                note(&mut self.place, mark, row)?;
            }
        }
        self.place.row = end as u64;
        self.place.digest = Some(page.digest.clone());
        Ok(read.batch)
    }

    fn mark(&self, row: &Json) -> Option<Mark> {
        match row.at(&self.config.incremental.as_ref()?.column)? {
            Json::Number(text) => Some(Mark::Number(text.clone())),
            Json::Text(text) => Some(Mark::Text(text.clone())),
            _ => None,
        }
    }

    /// True for a row that an earlier look handed out: each of those comes again at most once.
    fn is_known(&mut self, row: &Json) -> bool {
        if self.place.again.is_empty() || self.mark(row) != self.place.since {
            return false;
        }
        let digest = page::digest(row.to_text().as_bytes());
        let known = self.place.again.iter().position(|again| *again == digest);
        known.map(|at| self.place.again.remove(at)).is_some()
    }

    /// Steps over the end of a page.
    fn advance(&mut self, page: &Page, is_replay: bool) -> Result<()> {
        let place = &mut self.place;
        (place.row, place.digest) = (0, None);
        if let Some(next) = &page.next {
            place.page += 1;
            place.of_look += 1;
            place.ask = next.clone();
            if place.of_look >= self.config.max_pages {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!("there are more than {} pages", self.config.max_pages),
                )
                .with_setting("max_pages")
                .with_hint("raise `max_pages`, or check `paging`: the service may give the same page for ever"));
            }
            return Ok(());
        }
        let is_empty_look = page.rows.is_empty() && place.of_look == 0;
        let Some(poll) = self.config.poll else {
            place.page += 1;
            place.ask = Ask::Done;
            return Ok(());
        };
        if is_replay && is_empty_look {
            return Err(lost("the service gives no rows where the epoch that has to be replayed had some"));
        }
        // A look without rows leaves the place as it is: an idle flow has nothing to record.
        place.page += u64::from(!is_empty_look);
        place.of_look = 0;
        place.ask = page::first(&self.config);
        place.since.clone_from(&place.newest);
        place.again.clone_from(&place.edge);
        self.next_look = Some(Instant::now() + poll.0);
        Ok(())
    }

    /// Waits for the next look; true when it is time.
    async fn is_time(&mut self, deadline: Instant) -> bool {
        let Some(at) = self.next_look else { return true };
        sleep(at.min(deadline).saturating_duration_since(Instant::now())).await;
        let is_time = at <= Instant::now();
        if is_time {
            self.next_look = None;
        }
        is_time
    }
}

/// Moves the largest value on.
fn note(place: &mut Place, mark: Mark, row: &Json) -> Result<()> {
    use std::cmp::Ordering;
    let order = place.newest.as_ref().map_or(Ok(Ordering::Greater), |newest| mark.compare(newest))?;
    if order == Ordering::Greater {
        place.newest = Some(mark);
        place.edge.clear();
    }
    if order != Ordering::Less && place.edge.len() < EDGE_ROWS_MAX {
        place.edge.push(page::digest(row.to_text().as_bytes()));
    }
    Ok(())
}

fn lost(what: &str) -> Error {
    Error::new(ErrorKind::LostPosition, what).with_hint(
        "pages are kept in the flow's checkpoint folder: restore it, or start over with `aqueduct checkpoint reset`",
    )
}

#[async_trait]
impl Source for HttpInput {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.client = Some(Arc::new(Client::new(self.config.client.clone(), self.config.auth.clone())?));
        self.kept = context.state_dir.clone().map(KeptPages::new);
        match resume.map(Place::of_position).transpose()?.flatten() {
            Some(place) => self.place = place,
            // The first start, or the first after a reset: what was kept before is not to be read.
            None => self.kept.as_ref().map_or(Ok(()), |kept| kept.forget_before(u64::MAX))?,
        }
        self.layout = Layout::new(&self.config, &self.place.columns)?;
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let until = budget.until.as_ref().map(Place::of_position).transpose()?.flatten();
        let deadline = Instant::now() + budget.max_wait;
        loop {
            if until.as_ref() == Some(&self.place) {
                return Ok(Polled::Idle);
            }
            if until.as_ref().is_some_and(|until| self.place.is_behind(until)) {
                return Err(lost("the service gives other pages than those of the epoch that has to be replayed"));
            }
            if self.place.ask == Ask::Done {
                return Ok(Polled::Finished);
            }
            if until.is_none() && !self.is_time(deadline).await {
                return Ok(Polled::Idle);
            }
            let page = match self.page.take() {
                Some(page) => page,
                None => match self.page(deadline.saturating_duration_since(Instant::now())).await? {
                    Some(page) => page,
                    None => return Ok(Polled::Idle),
                },
            };
            let begin = usize::try_from(self.place.row).unwrap_or(usize::MAX);
            let mut end = page.rows.len().min(begin.saturating_add(budget.max_rows.max(1)));
            if let Some(until) = until.as_ref().filter(|until| until.page == self.place.page && until.row > 0) {
                end = end.min(usize::try_from(until.row).unwrap_or(usize::MAX));
            }
            let batch = if begin < end { self.rows(&page, end, bad)? } else { None };
            if end >= page.rows.len() {
                self.advance(&page, until.is_some())?;
            } else {
                self.page = Some(page);
            }
            match batch {
                Some(batch) => return Ok(Polled::Batch(batch)),
                None if Instant::now() >= deadline => return Ok(Polled::Idle),
                None => {}
            }
        }
    }

    fn position(&self) -> Option<Position> {
        self.place.to_position().ok()
    }

    async fn on_checkpoint_durable(&mut self, _epoch: Epoch, position: &Position) -> Result<()> {
        let Some(place) = Place::of_position(position)? else { return Ok(()) };
        self.kept.as_ref().map_or(Ok(()), |kept| kept.forget_before(place.page))
    }

    async fn close(&mut self) -> Result<()> {
        (self.fetch, self.client, self.page) = (None, None, None);
        Ok(())
    }
}
