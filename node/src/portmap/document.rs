//! The elements of an XML document of a router, as far as it can be read. Pure.
//!
//! Routers' documents are often cut off or not quite right: what came before that counts.

use xml::reader::{EventReader, ParserConfig, XmlEvent};

/// Longest document, bytes.
pub(super) const DOCUMENT_MAX: usize = 64 << 10;
/// Deepest element. The deepest of interest in a description is the eleventh.
const DEPTH_MAX: usize = 32;

/// An element that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its name without the prefix of its namespace: routers confuse those.
    pub(super) name: String,
    /// What stands directly in it, without white space around it.
    pub(super) text: String,
    /// The number of the element around it, from the beginning of the document; its own for the outermost.
    pub(super) parent: usize,
}

struct Open {
    number: usize,
    name: String,
    text: String,
}

/// The elements of a document in the order of their ends, up to whatever cannot be read.
pub(crate) fn elements(document: &[u8]) -> Vec<Element> {
    let document = &document[..document.len().min(DOCUMENT_MAX)];
    let mut config = ParserConfig::new();
    config.ignore_invalid_encoding_declarations = true;
    let mut open: Vec<Open> = Vec::new();
    let (mut found, mut begun) = (Vec::new(), 0);
    for event in EventReader::new_with_config(document, config) {
        match event {
            Ok(XmlEvent::StartElement { name, .. }) if open.len() < DEPTH_MAX => {
                open.push(Open { number: begun, name: name.local_name, text: String::new() });
                begun += 1;
            }
            Ok(XmlEvent::Characters(text) | XmlEvent::CData(text)) => {
                if let Some(innermost) = open.last_mut() {
                    innermost.text.push_str(&text);
                }
            }
            Ok(XmlEvent::EndElement { .. }) => {
                let Some(Open { number, name, text }) = open.pop() else { break };
                let parent = open.last().map_or(number, |around| around.number);
                found.push(Element { name, text: text.trim().to_owned(), parent });
            }
            // Documents of routers declare no entities.
            Ok(XmlEvent::StartElement { .. } | XmlEvent::Doctype { .. } | XmlEvent::EndDocument) | Err(_) => {
                break;
            }
            Ok(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(document: &str) -> Vec<String> {
        let elements = elements(document.as_bytes());
        elements.into_iter().map(|Element { name, text, parent }| format!("{parent}/{name}={text}")).collect()
    }

    #[test]
    fn names_have_no_prefix_and_texts_are_whole() {
        let text = "<?xml version=\"1.0\" encoding=\"none-such\"?>\r\n<r xmlns:p=\"x\"> <p:a b='1'>\n 1 &lt;&#50;<!-- \
                    </p:a> --><![CDATA[<&3]]> </p:a><c/></r>";
        assert_eq!(shown(text), ["0/a=1 <2<&3", "0/c=", "0/r="]);
    }

    #[test]
    fn what_came_before_a_mistake_counts() {
        for bad in ["", "</b>", "<c>", "&nothing;", "<x:c></x:c>", "<!DOCTYPE a>", "\u{0}"] {
            assert_eq!(shown(&format!("<r><a>1</a>{bad}")), ["0/a=1"], "{bad:?}");
        }
        assert_eq!(elements(b""), []);
        assert_eq!(elements(b"<r>\xff\xfe</r>"), []);
    }

    #[test]
    fn entities_that_grow_and_depth_without_end_are_not_read() {
        let doctype = "<!DOCTYPE r [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><r><a>&b;</a></r>";
        assert_eq!(shown(doctype), [""; 0]);
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(shown(&nested(DEPTH_MAX)).len(), DEPTH_MAX);
        assert_eq!(shown(&nested(DEPTH_MAX + 1)).len(), 0);
        assert_eq!(shown(&nested(9000)).len(), 0);
    }

    #[test]
    fn nothing_is_read_beyond_the_longest_document() {
        let first = format!("<r><a>{}</a>", " ".repeat(DOCUMENT_MAX - 11));
        assert_eq!(first.len(), DOCUMENT_MAX - 1);
        assert_eq!(shown(&format!("{first}<b/></r>")), ["0/a="]);
    }
}
