//! Merkle trees over what a run was made from and what it made (RFC 9162, section 2.1), so that rows
//! of an app can be shown, and their place proven, without those of others.
//!
//! A leaf is SHA-256(0x00 ‖ bytes), a node SHA-256(0x01 ‖ left ‖ right); the left side of a node is
//! the largest power of two of leaves. What the leaves are stands in docs/verify.md.

use std::ops::Range;

use memchr::memchr2_iter;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

use crate::impact::{Block, LEAF_COLUMNS, LEAF_RECORDS};
use crate::key::hex;

/// Says also what a leaf of a table is: in other versions it may be something else.
pub const ALGORITHM: &str = "RFC 9162 tree of SHA-256: leaf 0x00, node 0x01; up to 64 records of one scope and app_id a leaf";

/// The part that holds one leaf for each input file and each file of the registry.
pub const INPUTS: &str = "inputs";

pub type Hash = [u8; 32];

/// The section `merkle` of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merkle {
    pub algorithm: String,
    /// Over the run's name and the parts.
    pub root: String,
    pub parts: Vec<Part>,
}

/// A tree: [`INPUTS`], or the path of a table's CSV file. The line of JSON that it makes is a leaf of
/// the tree over all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub part: String,
    pub leaves: u64,
    pub root: String,
}

impl Part {
    fn of(part: &str, tree: &Tree) -> Self {
        Self { part: part.into(), leaves: tree.len, root: hex(&tree.root()) }
    }
}

impl Merkle {
    /// The section for a run, its inputs and registry as `details` has them and its tables.
    pub fn of(run_id: &str, details: &Value, tables: Vec<Part>) -> Self {
        let parts = std::iter::once(inputs(details)).chain(tables).collect();
        Self::over(run_id, as_of(details), parts)
    }

    /// The section over parts that are known.
    pub fn over(run_id: &str, as_of: &str, parts: Vec<Part>) -> Self {
        let mut tree = Tree::default();
        tree.push(leaf(json!({ "run_id": run_id, "as_of": as_of }).to_string().as_bytes()));
        for part in &parts {
            tree.push(leaf(serde_json::to_string(part).unwrap_or_default().as_bytes()));
        }
        Self { algorithm: ALGORITHM.into(), root: hex(&tree.root()), parts }
    }
}

pub fn as_of(details: &Value) -> &str {
    details.get("as_of").and_then(Value::as_str).unwrap_or_default()
}

/// The part over the input files and those of the registry: each leaf is a line of JSON.
pub fn inputs(details: &Value) -> Part {
    let mut tree = Tree::default();
    for source in details.get("sources").and_then(Value::as_array).into_iter().flatten() {
        let name = source.get("name");
        for file in source.get("files").and_then(Value::as_array).into_iter().flatten() {
            let mut line = json!({
                "source": name,
                "url": file.get("url"),
                "bytes": file.get("bytes"),
                "e_tag": file.get("e_tag"),
                "version": file.get("version"),
                "rows": file.get("rows"),
            });
            for key in ["deletes", "values"] {
                if let Some((fields, told)) = line.as_object_mut().zip(file.get(key)) {
                    fields.insert(key.into(), told.clone());
                }
            }
            tree.push(leaf(line.to_string().as_bytes()));
        }
    }
    for file in details.get("registry").and_then(Value::as_array).into_iter().flatten() {
        let line = json!({
            "registry": file.get("role"),
            "url": file.get("url"),
            "bytes": file.get("size"),
            "sha256": file.get("sha256"),
            "e_tag": file.get("e_tag"),
            "version": file.get("version"),
        });
        tree.push(leaf(line.to_string().as_bytes()));
    }
    Part::of(INPUTS, &tree)
}

/// The part over a CSV file, and how many records it has, the header among them.
pub fn table(path: &str, csv: &[u8]) -> (Part, usize) {
    let (mut tree, mut records) = (Tree::default(), 0);
    for of in leaves(csv) {
        tree.push(leaf(of.bytes));
        records = of.records.end;
    }
    (Part::of(path, &tree), records)
}

/// The part over a CSV file that comes in pieces.
#[derive(Debug, Default)]
pub struct RowTree(Tree);

impl RowTree {
    pub fn take(&mut self, block: &Block) {
        let mut from = 0;
        for end in &block.leaf_ends {
            let bytes = block.bytes.get(from..*end).unwrap_or_default();
            self.0.push(leaf(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
            from = *end;
        }
    }

    pub fn part(&self, path: &str) -> Part {
        Part::of(path, &self.0)
    }
}

/// Records of a CSV file that are one leaf of its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// As they stand in the file, without the last line end.
    pub bytes: &'a [u8],
    /// Which they are; the header is 0.
    pub records: Range<usize>,
}

/// The leaves of a CSV file: its header; then, of the records that stand below each other and have the same cells in
/// [`LEAF_COLUMNS`], [`LEAF_RECORDS`] at a time.
pub fn leaves(csv: &[u8]) -> impl Iterator<Item = Leaf<'_>> {
    let mut records = records(csv).enumerate().peekable();
    let names = records.peek().map_or(&b""[..], |(_, header)| header);
    let place = |name: &str| cells(names).position(|cell| cell == name.as_bytes());
    let places: Vec<usize> = LEAF_COLUMNS.iter().filter_map(|name| place(name)).collect();
    let mut from = 0;
    std::iter::from_fn(move || {
        let (number, first) = records.next()?;
        let (mut length, mut end) = (first.len(), number + 1);
        let alike = |other: &[u8]| {
            places.iter().all(|place| cells(first).nth(*place) == cells(other).nth(*place))
        };
        while number > 0
            && end - number < LEAF_RECORDS
            && let Some((_, next)) = records.next_if(|(_, next)| alike(next))
        {
            length += 1 + next.len();
            end += 1;
        }
        let bytes = csv.get(from..from + length).unwrap_or_default();
        from += length + 1;
        Some(Leaf { bytes, records: number..end })
    })
}

/// The cells of a record, quotes and all.
fn cells(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    record.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
}

/// The records of a CSV file (RFC 4180, lines end in `\n`), quotes and all, without line ends.
pub fn records(csv: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut from, mut quoted) = (0, false);
    let mut marks = memchr2_iter(b'"', b'\n', csv);
    std::iter::from_fn(move || {
        for at in marks.by_ref() {
            if csv.get(at) == Some(&b'"') {
                quoted = !quoted;
            } else if !quoted {
                let record = csv.get(from..at);
                from = at + 1;
                return record;
            }
        }
        // What stands behind the last line end is a record too, so that no byte is left out.
        let rest = csv.get(from..).filter(|rest| !rest.is_empty());
        from = csv.len();
        rest
    })
}

pub fn leaf(bytes: &[u8]) -> Hash {
    digest(0, bytes, &[])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    digest(1, left, right)
}

/// SHA-256 before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256(tag ‖ first ‖ second).
fn digest(tag: u8, first: &[u8], second: &[u8]) -> Hash {
    // Every node is two blocks, and many a leaf is few: they are laid out and padded here, without a hasher that
    // keeps what was not yet a block.
    short(tag, first, second).unwrap_or_else(|| {
        Sha256::new().chain_update([tag]).chain_update(first).chain_update(second).finalize().into()
    })
}

/// [`digest`] where it takes no more than three blocks.
fn short(tag: u8, first: &[u8], second: &[u8]) -> Option<Hash> {
    let mut blocks = [[0; 64]; 3];
    let bytes = blocks.as_flattened_mut();
    let (one, two) = (1 + first.len(), 1 + first.len() + second.len());
    *bytes.first_mut()? = tag;
    bytes.get_mut(1..one)?.copy_from_slice(first);
    bytes.get_mut(one..two)?.copy_from_slice(second);
    *bytes.get_mut(two)? = 0x80;
    // The number of bits ends the last block.
    let used = (two + 1 + 8).div_ceil(64);
    let bits = 8 * two as u64;
    bytes.get_mut(used * 64 - 8..used * 64)?.copy_from_slice(&bits.to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, blocks.get(..used)?);
    let mut hash = [0; 32];
    for (place, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *place = word.to_be_bytes();
    }
    Some(hash)
}

/// The root of leaves that come one by one; memory grows with the logarithm of their number.
#[derive(Debug, Default)]
pub struct Tree {
    len: u64,
    /// Whole trees, from the largest to the smallest; their sizes are the bits of `len`.
    whole: Vec<Hash>,
}

impl Tree {
    pub fn push(&mut self, mut hash: Hash) {
        for _ in 0..self.len.trailing_ones() {
            if let Some(left) = self.whole.pop() {
                hash = node(&left, &hash);
            }
        }
        self.whole.push(hash);
        self.len += 1;
    }

    pub fn root(&self) -> Hash {
        let mut whole = self.whole.iter().rev();
        let Some(last) = whole.next() else { return Sha256::digest([]).into() };
        whole.fold(*last, |right, left| node(left, &right))
    }
}

/// All nodes of a tree, for paths.
#[derive(Debug)]
pub struct Paths {
    /// The leaves, their parents, and so on up to the root; the last one of an odd number goes up as
    /// it is.
    levels: Vec<Vec<Hash>>,
}

impl Paths {
    pub fn over(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(last) = levels.last().filter(|level| level.len() > 1) {
            let above = last.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                [alone, ..] => *alone,
                [] => [0; 32],
            });
            let above = above.collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// The hashes beside the way from a leaf up to the root.
    pub fn of(&self, leaf: usize) -> Vec<Hash> {
        let mut at = leaf;
        let mut path = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            if level.len() > 1 {
                path.extend(level.get(at ^ 1));
            }
            at >>= 1;
        }
        path
    }
}

/// The root that a leaf and its path lead to, in a tree of so many leaves (RFC 9162, 2.1.3.2); `None`
/// where the path is none of that tree.
pub fn climb(leaf: Hash, index: u64, leaves: u64, path: &[Hash]) -> Option<Hash> {
    if index >= leaves {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, leaves - 1, leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(beside, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, beside);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::sha256;

    /// The root as RFC 9162, 2.1.1 defines it.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => Sha256::digest([]).into(),
            1 => leaves[0],
            n => {
                let half = n.next_power_of_two() / 2;
                node(&defined(&leaves[..half]), &defined(&leaves[half..]))
            }
        }
    }

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf(i.to_string().as_bytes())).collect()
    }

    #[test]
    fn roots_are_those_of_the_published_examples() {
        // From the reference tests of Certificate Transparency.
        let inputs: [&[u8]; 3] = [b"", b"\x00", b"\x10"];
        let expected = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        ];
        let mut tree = Tree::default();
        assert_eq!(hex(&tree.root()), sha256(b""));
        for (input, expected) in inputs.iter().zip(expected) {
            tree.push(leaf(input));
            assert_eq!(hex(&tree.root()), expected);
        }
    }

    #[test]
    fn a_message_of_any_length_has_its_sha256() {
        let bytes: Vec<u8> = (0..400u32).map(|i| (i * 7 % 251) as u8).collect();
        for length in 0..400 {
            let bytes = &bytes[..length];
            let expected =
                |tag| Hash::from(Sha256::new().chain_update([tag]).chain_update(bytes).finalize());
            assert_eq!(leaf(bytes), expected(0), "{length}");
            let (first, second) = bytes.split_at(length / 3);
            assert_eq!(digest(1, first, second), expected(1), "{length}");
            // Three blocks hold 192 bytes, of which 1 is the tag and 9 are the end.
            assert_eq!(short(0, bytes, &[]).is_some(), length <= 182, "{length}");
        }
    }

    #[test]
    fn every_leaf_of_every_size_has_a_path_to_the_defined_root() {
        for n in 1..70 {
            let leaves = leaves(n);
            let mut tree = Tree::default();
            leaves.iter().for_each(|leaf| tree.push(*leaf));
            let root = defined(&leaves);
            assert_eq!(tree.root(), root, "{n}");
            let paths = Paths::over(leaves.clone());
            let size = n as u64;
            for (i, leaf) in leaves.iter().enumerate() {
                let path = paths.of(i);
                assert_eq!(climb(*leaf, i as u64, size, &path), Some(root), "{i} of {n}");
                // Not at another place, not from another leaf, not along another path.
                let next = (i as u64 + 1) % size;
                assert!(n == 1 || climb(*leaf, next, size, &path) != Some(root), "{i} of {n}");
                assert_ne!(climb(super::leaf(b"x"), i as u64, size, &path), Some(root));
                let mut longer = path.clone();
                longer.push(root);
                assert_eq!(climb(*leaf, i as u64, size, &longer), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(climb(*leaf, i as u64, size, shorter), None);
                }
            }
        }
    }

    #[test]
    fn records_are_lines_but_for_quoted_line_ends() {
        let found = |csv: &'static str| -> Vec<String> {
            records(csv.as_bytes()).map(|r| String::from_utf8(r.to_vec()).unwrap()).collect()
        };
        assert_eq!(found("a,b\n1,2\n"), ["a,b", "1,2"]);
        assert_eq!(found("a\n\"x\ny\"\n\"q\"\"\n\"\"\"\n"), ["a", "\"x\ny\"", "\"q\"\"\n\"\"\""]);
        assert_eq!(found("a\n\nb"), ["a", "", "b"]);
        assert_eq!(found(""), Vec::<String>::new());
    }

    #[test]
    fn the_algorithm_says_what_a_leaf_is() {
        let says =
            format!("up to {LEAF_RECORDS} records of one {} a leaf", LEAF_COLUMNS.join(" and "));
        assert!(ALGORITHM.ends_with(&says), "{says}");
    }

    #[test]
    fn records_of_one_scope_and_app_are_a_leaf_together() {
        let found = |csv: &'static str| -> Vec<(String, Range<usize>)> {
            let text = |of: Leaf<'_>| String::from_utf8(of.bytes.to_vec()).unwrap();
            super::leaves(csv.as_bytes()).map(|of| (text(of.clone()), of.records)).collect()
        };
        let leaf = |text: &str, records| (text.to_string(), records);
        assert_eq!(
            found(
                "n,app_id,scope\n1,a,s\n2,a,s\n3,b,s\n4,b,t\n5,\"b\",t\n6,\"x,\n\",t\n7,\"x,\n\",t\n"
            ),
            [
                leaf("n,app_id,scope", 0..1),
                leaf("1,a,s\n2,a,s", 1..3),
                leaf("3,b,s", 3..4),
                leaf("4,b,t", 4..5),
                // Files have no quotes that need not be.
                leaf("5,\"b\",t", 5..6),
                leaf("6,\"x,\n\",t\n7,\"x,\n\",t", 6..8),
            ]
        );
        // The header is a leaf alone, whatever stands below it, and what stands behind the last line end is one too.
        assert_eq!(
            found("app_id\napp_id\napp_id\nx"),
            [leaf("app_id", 0..1), leaf("app_id\napp_id", 1..3), leaf("x", 3..4)]
        );
        assert_eq!(found("n\n1\n2\n"), [leaf("n", 0..1), leaf("1\n2", 1..3)]);
        assert_eq!(found(""), []);
        let many = format!("n,scope\n{}", "1,s\n".repeat(150));
        let many: Vec<usize> = super::leaves(many.as_bytes()).map(|of| of.records.len()).collect();
        assert_eq!(many, [1, 64, 64, 22]);
    }
}
