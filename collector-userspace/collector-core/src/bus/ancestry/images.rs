//! The images of one process, in the order in which it ran them.

/// How many are kept.
const KEPT: usize = 8;

/// The last few images of a process, oldest first.
#[derive(Debug, Default)]
pub(super) struct Images {
    list: [u32; KEPT],
    len: usize,
}

impl Images {
    fn as_slice(&self) -> &[u32] {
        self.list.get(..self.len).unwrap_or(&[])
    }

    fn place(&self, image: u32) -> Option<usize> {
        self.as_slice().iter().position(|other| *other == image)
    }

    /// Adds the newest image. If there is no place, the oldest goes. In a process where subtrees begin (`is_root`) the new
    /// one is not kept instead: what is not kept counts as newer, and the order before must not be lost.
    pub(super) fn push(&mut self, image: u32, is_root: bool) {
        if self.place(image).is_some() || (self.len == KEPT && is_root) {
            return;
        }
        if self.len == KEPT {
            self.list.rotate_left(1);
            self.len -= 1;
        }
        if let Some(slot) = self.list.get_mut(self.len) {
            *slot = image;
            self.len += 1;
        }
    }

    /// Makes sure that an image at which a subtree begins is there. One that is missing is older than all, unless `push`
    /// left it out.
    pub(super) fn keep(&mut self, image: u32, is_root: bool) {
        if self.place(image).is_some() {
            return;
        }
        if self.len < KEPT {
            self.list.rotate_right(1);
            self.len += 1;
        }
        let slot = if self.len == KEPT && is_root { self.list.last_mut() } else { self.list.first_mut() };
        if let Some(slot) = slot {
            *slot = image;
        }
    }

    /// Whether `image` is `first` or newer. An image that is not kept is newer.
    pub(super) fn is_from(&self, first: u32, image: u32) -> bool {
        match (self.place(first), self.place(image)) {
            (Some(first), Some(image)) => image >= first,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(list: impl IntoIterator<Item = u32>) -> Images {
        let mut images = Images::default();
        list.into_iter().for_each(|image| images.push(image, false));
        images
    }

    #[test]
    fn images_are_in_order_and_what_is_not_kept_is_newer() {
        let images = images([1, 2, 1, 3]);
        assert_eq!(images.as_slice(), [1, 2, 3]);
        assert!(images.is_from(2, 2) && images.is_from(2, 3) && images.is_from(2, 9));
        assert!(!images.is_from(2, 1));
    }

    #[test]
    fn the_oldest_goes_unless_a_subtree_begins_there() {
        assert_eq!(images(1..=9).as_slice(), [2, 3, 4, 5, 6, 7, 8, 9]);
        let mut images = images(1..=8);
        images.keep(2, false);
        images.push(9, true);
        assert_eq!(images.as_slice(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!images.is_from(2, 1) && images.is_from(2, 9));
        // The second root is newer than all that are kept.
        images.keep(9, true);
        assert!(images.is_from(2, 9) && !images.is_from(9, 7));
    }

    #[test]
    fn an_image_never_seen_is_older() {
        let mut images = images([5]);
        images.keep(4, false);
        assert_eq!(images.as_slice(), [4, 5]);
        let mut images = self::images(1..=8);
        images.keep(9, false);
        assert_eq!(images.as_slice(), [9, 2, 3, 4, 5, 6, 7, 8]);
    }
}
