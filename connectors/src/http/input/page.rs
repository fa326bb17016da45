//! One page: how it is asked for, what it holds, what comes behind it.

use aqueduct_model::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::super::client::{Answer, Call, service_url, status_error};
use super::super::json::Json;
use super::config::{Format, HttpInputConfig, Method, Paging, param_text};
use super::place::{Ask, Place};

/// An answer as it came: what is kept of it for a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Raw {
    /// The next page's address, from the header `Link`.
    #[serde(default)]
    pub link: Option<String>,
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl Raw {
    pub(super) fn digest(&self) -> String {
        digest(&self.body)
    }
}

/// A digest in sixteen digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("{:016x}", xxh3_64(bytes))
}

/// What a page holds.
pub(super) struct Page {
    pub rows: Vec<Json>,
    pub digest: String,
    /// How the page behind it is asked for; `None` for the last one of a look.
    pub next: Option<Ask>,
}

/// How a look begins.
pub(super) fn first(config: &HttpInputConfig) -> Ask {
    match &config.paging {
        Some(Paging::Page { first, .. }) => Ask::Page(*first),
        Some(Paging::Offset { .. }) => Ask::Offset(0),
        _ => Ask::First,
    }
}

/// The request for the page at a place.
///
/// # Errors
/// `Config` for an address that is none.
pub(super) fn request(config: &HttpInputConfig, place: &Place) -> Result<Call> {
    let mut url = service_url(&config.url, "url")?;
    if let Ask::Link(link) = &place.ask {
        url = service_url(link, "paging")?;
    } else {
        let mut params: Vec<(&str, String)> =
            config.query.iter().filter_map(|(name, value)| Some((name.as_str(), param_text(value)?))).collect();
        if let Some(incremental) = &config.incremental {
            let since = place.since.as_ref().map(|mark| mark.text().to_owned()).or_else(|| incremental.from.clone());
            params.extend(since.map(|since| (incremental.param.as_str(), since)));
        }
        match (&place.ask, &config.paging) {
            (Ask::Page(n), Some(Paging::Page { param, .. })) | (Ask::Offset(n), Some(Paging::Offset { param, .. })) => {
                params.push((param, n.to_string()));
            }
            (Ask::Cursor(cursor), Some(Paging::Cursor { param, .. })) => params.push((param, cursor.clone())),
            (Ask::First, _) => {}
            _ => {
                return Err(Error::new(ErrorKind::State, "the recorded position was made with another `paging`")
                    .with_setting("paging")
                    .with_hint("put the old `paging` back, or start over with `aqueduct checkpoint reset`"));
            }
        }
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
    }
    let mut headers: Vec<(String, String)> =
        config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    let body = config.body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
    if !body.is_empty() && !config.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    let method = if config.method == Method::Post { "POST" } else { "GET" };
    Ok(Call { method: method.to_owned(), url, headers, body })
}

/// What is kept of an answer.
///
/// # Errors
/// By the status, where it is no success.
pub(super) fn accepted(call: &Call, answer: Answer) -> Result<Raw> {
    if !matches!(answer.status, 200..=299) {
        return Err(status_error(call, answer.status));
    }
    let links = answer.headers.get_all("link").iter().filter_map(|value| value.to_str().ok());
    let link = links.filter_map(next_link).next().and_then(|link| call.url.join(&link).ok());
    Ok(Raw { link: link.map(String::from), body: answer.body })
}

/// The target with `rel="next"` in a `Link` header (RFC 8288).
fn next_link(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some(begin) = rest.find('<') {
        let end = begin + rest[begin..].find('>')?;
        let target = &rest[begin + 1..end];
        // The parameters go on to the comma in front of the next `<`.
        let params_end = rest[end..].find(",<").or_else(|| rest[end..].find(", <")).map_or(rest.len(), |at| end + at);
        let is_next = rest[end + 1..params_end].split(';').filter_map(|param| param.trim().split_once('=')).any(
            |(name, value)| {
                let relations = value.trim().trim_end_matches(',').trim_matches('"');
                name.trim().eq_ignore_ascii_case("rel")
                    && relations.split(' ').any(|relation| relation.eq_ignore_ascii_case("next"))
            },
        );
        if is_next {
            return Some(target.to_owned());
        }
        rest = &rest[params_end..];
    }
    None
}

/// Reads the answer at a place.
///
/// # Errors
/// `Data` when it is not as the settings say; `Config` when the next page is elsewhere.
pub(super) fn read(config: &HttpInputConfig, place: &Place, raw: &Raw) -> Result<Page> {
    let wrong = |why: String, setting: &str, hint: &str| {
        Error::new(ErrorKind::Data, format!("page {} of {} {why}", place.of_look, config.name))
            .with_setting(setting)
            .with_hint(hint.to_owned())
    };
    let is_json = "the answer must be JSON; for one object per line write `format: jsonl`";
    if config.format == Format::Jsonl {
        let rows =
            Json::parse_lines(&raw.body).map_err(|why| wrong(format!("is no JSON: {why}"), "format", is_json))?;
        let next = next(config, place, raw, &Json::Null, rows.len())?;
        return Ok(Page { rows, digest: raw.digest(), next });
    }
    let value = Json::parse(&raw.body).map_err(|why| wrong(format!("is no JSON: {why}"), "format", is_json))?;
    let rows = match value.at(&config.rows) {
        Some(Json::List(rows)) => rows.clone(),
        Some(row @ Json::Object(_)) => vec![row.clone()],
        Some(Json::Null) => Vec::new(),
        _ => {
            let hint = "name the member that holds the list of rows: `rows: data.items`";
            return Err(wrong(format!("has no rows at `{}`", config.rows), "rows", hint));
        }
    };
    let next = next(config, place, raw, &value, rows.len())?;
    Ok(Page { rows, digest: raw.digest(), next })
}

fn next(config: &HttpInputConfig, place: &Place, raw: &Raw, value: &Json, rows: usize) -> Result<Option<Ask>> {
    let goes_on = |has_more: &Option<String>| match has_more.as_ref().map(|path| value.at(path).and_then(Json::scalar))
    {
        None => Ok(rows > 0),
        Some(Some("true")) => Ok(true),
        Some(Some("false")) => Ok(false),
        Some(_) => Err(Error::new(ErrorKind::Data, "the answer does not say whether there are more pages")
            .with_setting("paging.has_more")
            .with_hint("name a member that is `true` or `false`, or leave it out")),
    };
    let next = match (&config.paging, &place.ask) {
        (Some(Paging::Page { has_more, .. }), Ask::Page(n)) => goes_on(has_more)?.then(|| Ask::Page(n + 1)),
        (Some(Paging::Offset { has_more, .. }), Ask::Offset(n)) => {
            goes_on(has_more)?.then(|| Ask::Offset(n + rows as u64))
        }
        (Some(Paging::Cursor { path, .. }), _) => {
            let cursor = value.at(path).and_then(Json::scalar).filter(|cursor| !cursor.is_empty());
            cursor.map(|cursor| Ask::Cursor(cursor.to_owned()))
        }
        (Some(Paging::Link { path }), _) => {
            let link = match path {
                None => raw.link.clone(),
                Some(path) => value.at(path).and_then(Json::scalar).map(str::to_owned),
            };
            link.filter(|link| !link.is_empty()).map(|link| linked(config, place, &link)).transpose()?
        }
        _ => None,
    };
    if next.as_ref() == Some(&place.ask) {
        return Err(Error::new(ErrorKind::Data, "a page names itself as the next one")
            .with_setting("paging")
            .with_hint("check the parameter: the service seems not to heed it"));
    }
    Ok(next)
}

/// The next page's address: at the same origin, since our credentials go there.
fn linked(config: &HttpInputConfig, place: &Place, link: &str) -> Result<Ask> {
    let home = service_url(&config.url, "url")?;
    let here = if let Ask::Link(here) = &place.ask { service_url(here, "paging")? } else { home.clone() };
    let target = here.join(link).ok().filter(|target: &Url| target.origin() == home.origin());
    let target = target.ok_or_else(|| {
        Error::config("the next page is said to be at another host")
            .with_setting("paging")
            .with_hint("give the address of the host that the links name as `url`")
    })?;
    Ok(Ask::Link(target.into()))
}

#[cfg(test)]
mod tests {
    use super::next_link;

    #[test]
    fn the_next_page_is_found_in_a_link_header() {
        for (header, expected) in [
            (r#"<https://a/?page=2>; rel="next""#, Some("https://a/?page=2")),
            (r#"<https://a/1>; rel="prev", <https://a/3>; rel="next", <https://a/9>; rel="last""#, Some("https://a/3")),
            (r#"<a,b?x=1>; title="n"; REL=next"#, Some("a,b?x=1")),
            (r#"<a>; rel="prev next""#, Some("a")),
            (r#"<a>; rel="nextish""#, None),
            ("<a", None),
            ("", None),
        ] {
            assert_eq!(next_link(header).as_deref(), expected, "{header}");
        }
    }
}
