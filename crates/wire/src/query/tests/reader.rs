//! A reader of the XML that this crate writes, strict about what it must be.

/// An element: its name, its own text and its children.
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The text of the descendant at this path.
    pub(super) fn text_at(&self, path: &[&str]) -> Option<&str> {
        match path {
            [] => Some(&self.text),
            [name, rest @ ..] => self.children.iter().find(|child| child.name == *name)?.text_at(rest),
        }
    }
}

/// Reads a document of one element.
pub(super) fn read(xml: &str) -> Result<Element, String> {
    let (element, rest) = element(xml)?;
    if rest.is_empty() { Ok(element) } else { Err(format!("behind the document: {rest}")) }
}

fn element(xml: &str) -> Result<(Element, &str), String> {
    let tag = xml.strip_prefix('<').ok_or_else(|| format!("not a tag: {xml}"))?;
    let (tag, mut rest) = tag.split_once('>').ok_or("a tag without end")?;
    let (name, attribute) = tag.split_once(' ').map_or((tag, None), |(name, attribute)| (name, Some(attribute)));
    if let Some(attribute) = attribute {
        let value = attribute.strip_prefix("xmlns=\"").and_then(|value| value.strip_suffix('"'));
        text(value.ok_or("not a namespace")?)?;
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("not a name: {name}"));
    }
    let mut element = Element { name: name.to_owned(), text: String::new(), children: Vec::new() };
    loop {
        let start = rest.find('<').ok_or("an element without end")?;
        let (before, tag) = rest.split_at(start);
        element.text += &text(before)?;
        rest = tag;
        if let Some(closing) = rest.strip_prefix("</") {
            let rest = closing.strip_prefix(name).and_then(|rest| rest.strip_prefix('>'));
            return Ok((element, rest.ok_or_else(|| format!("{name} is closed by another"))?));
        }
        let (child, behind) = self::element(rest)?;
        element.children.push(child);
        rest = behind;
    }
}

fn text(escaped: &str) -> Result<String, String> {
    let mut parts = escaped.split('&');
    let mut text = plain(parts.next().unwrap_or_default())?.to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or("a reference without end")?;
        text.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "#x9" => '\t',
            "#xA" => '\n',
            "#xD" => '\r',
            other => return Err(format!("not a reference: {other}")),
        });
        text += plain(rest)?;
    }
    Ok(text)
}

/// Text without markup that XML 1.0 can hold ("Char").
fn plain(text: &str) -> Result<&str, String> {
    let holds = |c: char| c >= ' ' && !matches!(c, '<' | '>' | '"' | '\'' | '\u{FFFE}' | '\u{FFFF}');
    if text.chars().all(holds) { Ok(text) } else { Err(format!("not plain text: {text:?}")) }
}
