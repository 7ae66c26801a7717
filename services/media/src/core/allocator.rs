//! How much of what is sent one subscriber gets: bandwidth for slots, in the order in which they matter.

/// A layer is taken up only when there is this much more than it needs, in percent, so that it is not dropped again.
const HEADROOM: u64 = 115;

/// One slot with something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// Bits per second of each layer, smallest first; `None` for layers that are not sent just now.
    pub(crate) layers: Vec<Option<u64>>,
    /// The layer that it has.
    pub(crate) current: Option<usize>,
    /// No layer above this one.
    pub(crate) highest: usize,
}

/// What each slot gets, and what all would take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allocation {
    /// The layer of each slot.
    pub(crate) layers: Vec<Option<usize>>,
    /// Bits per second of all that.
    pub(crate) used: u64,
    /// Bits per second with which every slot would have its best layer.
    pub(crate) desired: u64,
}

/// Gives `budget` bits per second to `wants`, which come in the order in which they matter: the smallest layer to each
/// before a better one to any.
pub(crate) fn allocate(budget: u64, wants: &[Want]) -> Allocation {
    let mut given = Allocation {
        layers: vec![None; wants.len()],
        ..Allocation::default()
    };
    for want in wants {
        given.desired += usable(want).map(|(_, rate)| rate).max().unwrap_or(0);
    }
    let mut round = 0;
    loop {
        let mut more = false;
        for (slot, want) in wants.iter().enumerate() {
            let Some((layer, rate)) = usable(want).nth(round) else {
                continue;
            };
            more = true;
            let before = given.layers[slot];
            // Who did not get the layer below does not get this one.
            if before
                != round
                    .checked_sub(1)
                    .and_then(|below| Some(usable(want).nth(below)?.0))
            {
                continue;
            }
            let released = before.and_then(|before| want.layers[before]).unwrap_or(0);
            let used = given.used - released + rate;
            let is_new = want.current.is_none_or(|current| layer > current);
            // Nothing is worse than a slot without any picture, so that the smallest layer needs no headroom.
            let needed = if is_new && round > 0 {
                used * HEADROOM / 100
            } else {
                used
            };
            if needed <= budget {
                given.used = used;
                given.layers[slot] = Some(layer);
            }
        }
        if !more {
            return given;
        }
        round += 1;
    }
}

/// The layers that a slot can have, smallest first.
fn usable(want: &Want) -> impl Iterator<Item = (usize, u64)> {
    let layers = want.layers.iter().enumerate().take(want.highest + 1);
    layers.filter_map(|(layer, rate)| Some((layer, (*rate)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(current: Option<usize>) -> Want {
        Want {
            layers: vec![Some(100), Some(300), Some(1_000)],
            current,
            highest: 2,
        }
    }

    fn layers(budget: u64, wants: &[Want]) -> Vec<Option<usize>> {
        allocate(budget, wants).layers
    }

    #[test]
    fn everybody_is_seen_before_anybody_is_seen_well() {
        let two = [want(None), want(None)];
        assert_eq!(layers(99, &two), [None, None]);
        assert_eq!(layers(150, &two), [Some(0), None]);
        assert_eq!(layers(200, &two), [Some(0), Some(0)]);
        assert_eq!(layers(500, &two), [Some(1), Some(0)]);
        assert_eq!(layers(10_000, &two), [Some(2), Some(2)]);
        assert_eq!(allocate(200, &two).desired, 2_000);
        assert_eq!(allocate(500, &two).used, 400);
    }

    #[test]
    fn a_layer_is_kept_longer_than_it_is_taken_up() {
        assert_eq!(layers(310, &[want(Some(0))]), [Some(0)], "300 and 15 percent");
        assert_eq!(layers(345, &[want(Some(0))]), [Some(1)]);
        assert_eq!(layers(300, &[want(Some(1))]), [Some(1)]);
        assert_eq!(layers(299, &[want(Some(1))]), [Some(0)]);
    }

    #[test]
    fn layers_that_are_not_sent_or_not_wanted_are_passed_over() {
        let mut sparse = want(None);
        sparse.layers[1] = None;
        assert_eq!(layers(500, std::slice::from_ref(&sparse)), [Some(0)]);
        assert_eq!(layers(1_200, std::slice::from_ref(&sparse)), [Some(2)]);
        let mut small = want(None);
        small.highest = 0;
        assert_eq!(layers(10_000, &[small.clone()]), [Some(0)]);
        assert_eq!(allocate(10_000, &[small]).desired, 100);
        let silent = Want {
            layers: vec![None],
            current: Some(0),
            highest: 0,
        };
        assert_eq!(layers(10_000, &[silent]), [None]);
        assert_eq!(allocate(5, &[]), Allocation::default());
    }
}
