//! Groups' own ids: how they are compared, and how they are told from their keys.

use compact_str::CompactString;

use crate::key::{IdKind, Key, Keyer};

/// A group's own id. Ids are compared often, and mostly their first bytes tell: they stand as a number, and
/// nothing else is kept of a short id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId {
    head: u128,
    /// The whole text, where the first bytes do not tell it: empty sorts before all that begin the same.
    whole: Box<str>,
}

/// The first bytes of an id, and all of it where these do not tell it.
pub fn halves(text: &str) -> (u128, &str) {
    let mut head = [0; 16];
    let first = text.len().min(head.len());
    if let Some((head, text)) = head.get_mut(..first).zip(text.as_bytes().get(..first)) {
        head.copy_from_slice(text);
    }
    let tells = text.len() <= head.len() && !text.contains('\0');
    (u128::from_be_bytes(head), if tells { "" } else { text })
}

impl GroupId {
    pub fn new(text: &str) -> Self {
        let (head, whole) = halves(text);
        Self { head, whole: whole.into() }
    }

    pub fn halves(&self) -> (u128, &str) {
        (self.head, &self.whole)
    }

    pub fn text(&self) -> CompactString {
        if !self.whole.is_empty() {
            return CompactString::from(self.whole.as_ref());
        }
        let bytes = self.head.to_be_bytes();
        let text: &[u8] = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        // What `from_utf8_lossy` of these texts makes, it makes character by character.
        match std::str::from_utf8(text) {
            Ok(text) => text.into(),
            Err(_) => CompactString::from_utf8_lossy(text),
        }
    }
}

/// How ids of groups are told from their keys: by namespace.
#[derive(Clone, Copy)]
pub struct GroupIds<'a> {
    pub keyer: &'a Keyer,
    pub kinds: &'a [Option<IdKind>],
}

impl GroupIds<'_> {
    pub fn kind(&self, space: u32) -> Option<IdKind> {
        usize::try_from(space).ok().and_then(|space| self.kinds.get(space)).copied().flatten()
    }
}

/// Writes a group's own id, from its key or from the text that the ledger keeps.
pub fn own_id(keyer: &Keyer, key: Key, id: Option<&[u8]>, kind: Option<IdKind>, out: &mut String) {
    if let Some(id) = id {
        let mut bytes = id.to_vec();
        keyer.veil(key, &mut bytes);
        out.push_str(&String::from_utf8_lossy(&bytes));
        return;
    }
    match kind {
        Some(IdKind::Int) => {
            if let Some(id) = keyer.int_of(key) {
                out.push_str(itoa::Buffer::new().format(id));
            }
        }
        Some(IdKind::Uuid) => {
            if let Some(id) = keyer.uuid_of(key) {
                let mut text = uuid::Uuid::encode_buffer();
                out.push_str(uuid::Uuid::from_u128(id).hyphenated().encode_lower(&mut text));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_come_in_the_order_of_their_bytes_and_are_what_they_were(
            texts in proptest::collection::vec("[a\0é]{0,20}", 2..30)
        ) {
            let ids: Vec<GroupId> = texts.iter().map(|text| GroupId::new(text)).collect();
            for (id, text) in ids.iter().zip(&texts) {
                prop_assert_eq!(&id.text(), text);
                for (other, other_text) in ids.iter().zip(&texts) {
                    prop_assert_eq!(id.cmp(other), text.cmp(other_text));
                }
            }
        }
    }
}
