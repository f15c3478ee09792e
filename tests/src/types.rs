//! The type information of the running kernel, doctored: what would become of other kernels, and of damaged ones.

/// BTF that a test may spoil.
#[derive(Clone, Debug)]
pub struct Types {
    blob: Vec<u8>,
    types: usize,
    strings: usize,
    end: usize,
}

const STRUCT: u8 = 4;
const UNION: u8 = 5;

impl Types {
    /// Those of the running kernel.
    ///
    /// # Panics
    /// Where it has none.
    #[must_use]
    pub fn of_kernel() -> Self {
        let blob = std::fs::read(collector_sources::features::VMLINUX_BTF).expect("the kernel has BTF");
        let header = word(&blob, 4) as usize;
        let types = header + word(&blob, 8) as usize;
        let strings = header + word(&blob, 16) as usize;
        let end = strings + word(&blob, 20) as usize;
        Self { blob, types, strings, end }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.blob
    }

    /// Gives everything of this name another one, so that it is gone.
    ///
    /// # Panics
    /// When there is no such name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        let whole = [b"\0", name.as_bytes(), b"\0"].concat();
        let strings = &self.blob[self.strings..self.end];
        let at = strings.windows(whole.len()).position(|window| window == whole);
        let at = self.strings + at.unwrap_or_else(|| panic!("no name {name}")) + 1;
        self.blob[at] = b'~';
        self
    }

    /// Moves a member of a struct to behind its end.
    ///
    /// # Panics
    /// When there is no such member.
    #[must_use]
    pub fn with_moved(mut self, composite: &str, member: &str) -> Self {
        let mut moved = 0;
        for (of, size, members) in self.composites() {
            if self.name(of) != composite.as_bytes() {
                continue;
            }
            for entry in members {
                if self.name(word(&self.blob, entry)) == member.as_bytes() {
                    let position = (word(&self.blob, entry + 8) & 0xff00_0000) | ((size + 64) * 8);
                    self.blob[entry + 8..entry + 12].copy_from_slice(&position.to_le_bytes());
                    moved += 1;
                }
            }
        }
        assert!(moved > 0, "{composite} has no {member}");
        self
    }

    /// Flips bits anywhere.
    #[must_use]
    pub fn with_flipped_bits(mut self, seed: u64, count: usize) -> Self {
        let mut random = Random(seed);
        for _ in 0..count {
            let at = random.below(self.blob.len());
            self.blob[at] ^= 1 << random.below(8);
        }
        self
    }

    /// Flips bits of types and positions of members of these structs.
    #[must_use]
    pub fn with_flipped_members(mut self, composites: &[&str], seed: u64, count: usize) -> Self {
        let of_interest = |of: &u32| composites.iter().any(|name| self.name(*of) == name.as_bytes());
        let members: Vec<usize> = self
            .composites()
            .into_iter()
            .filter(|(of, ..)| of_interest(of))
            .flat_map(|(.., it)| it)
            .collect();
        let mut random = Random(seed);
        for _ in 0..count {
            // Type and position; of both the bits that keep them plausible.
            let at = members[random.below(members.len())] + 4 + 4 * random.below(2);
            self.blob[at + random.below(2)] ^= 1 << random.below(8);
        }
        self
    }

    /// The beginning.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.blob.truncate(bytes);
        self
    }

    /// Claims most members, parameters and so on that can be, of the first type that has some.
    #[must_use]
    pub fn with_huge_count(mut self) -> Self {
        let (_, _, members) =
            self.composites().into_iter().find(|(.., it)| !it.is_empty()).expect("a struct");
        let info = members[0] - 8;
        self.blob[info..info + 3].fill(0xff);
        self
    }

    /// A header that claims all bytes there can be.
    #[must_use]
    pub fn with_huge_sections(mut self) -> Self {
        self.blob[8..24].fill(0xff);
        self
    }

    /// Structs and unions: where their name is, their size, and where their members are.
    fn composites(&self) -> Vec<(u32, u32, Vec<usize>)> {
        let mut found = Vec::new();
        let mut at = self.types;
        while at < self.strings {
            let info = word(&self.blob, at + 4);
            let (kind, count) = ((info >> 24 & 0x1f) as u8, (info & 0xffff) as usize);
            let members = at + 12;
            if matches!(kind, STRUCT | UNION) {
                let entries = (0..count).map(|member| members + member * 12).collect();
                found.push((word(&self.blob, at), word(&self.blob, at + 8), entries));
            }
            at = members
                + match kind {
                    1 | 14 | 17 => 4,
                    3 => 12,
                    STRUCT | UNION | 15 | 19 => 12 * count,
                    6 | 13 => 8 * count,
                    _ => 0,
                };
        }
        found
    }

    fn name(&self, at: u32) -> &[u8] {
        let tail = &self.blob[self.strings + at as usize..self.end];
        tail.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

fn word(blob: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(blob[at..at + 4].try_into().expect("four bytes"))
}

/// Marsaglia's xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
