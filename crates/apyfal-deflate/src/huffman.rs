//! Huffman codes of limited length.

/// The most symbols of an alphabet of deflate.
const MOST_SYMBOLS: usize = 288;

/// The longest code of any alphabet.
pub(crate) const MOST_BITS: usize = 15;

/// Sets the lengths in bits of a code for symbols that occur so often, none of which is longer than
/// `limit`; those that do not occur have none.
///
/// At least two symbols get a code, for some decoders refuse a code of one.
pub(crate) fn lengths(counts: &[u32], limit: usize, lengths: &mut [u8]) {
    lengths.fill(0);
    // The count above the symbol, in one number: sorted, equal counts are in the order of symbols.
    let mut sorted = [0u64; MOST_SYMBOLS];
    let mut used = 0;
    for (symbol, &count) in counts.iter().enumerate() {
        sorted[used] = u64::from(count) << 16 | symbol as u64;
        used += usize::from(count > 0);
    }
    if used < 2 {
        let only = if used == 0 { 0 } else { (sorted[0] & 0xffff) as usize };
        lengths[only] = 1;
        lengths[usize::from(only == 0)] = 1;
        return;
    }
    let sorted = &mut sorted[..used];
    sorted.sort_unstable();
    let mut weights = [0u32; MOST_SYMBOLS];
    for (weight, key) in weights.iter_mut().zip(sorted.iter()) {
        *weight = (key >> 16) as u32;
    }
    let mut of_length = lengths_of(&mut weights[..used], limit);
    // The rarest have the longest.
    let mut bits = limit;
    for key in sorted.iter() {
        while of_length[bits] == 0 {
            bits -= 1;
        }
        of_length[bits] -= 1;
        lengths[(key & 0xffff) as usize] = bits as u8;
    }
}

/// How many codes of each length there are, for weights in rising order: the algorithm of Moffat and
/// Katajainen, which builds the tree in the place of the weights.
fn lengths_of(weights: &mut [u32], limit: usize) -> [u16; MOST_BITS + 1] {
    let n = weights.len();
    // Inner nodes take the place of the weights, which then become the parents of inner nodes.
    weights[0] += weights[1];
    let (mut root, mut leaf) = (0, 2);
    for next in 1..n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            if leaf >= n || root < next && weights[root] < weights[leaf] {
                sum += weights[root];
                weights[root] = next as u32;
                root += 1;
            } else {
                sum += weights[leaf];
                leaf += 1;
            }
        }
        weights[next] = sum;
    }
    // Depths of inner nodes, from the root down; what an inner node has not is a leaf.
    let mut of_length = [0u16; MOST_BITS + 1];
    let mut overflowed = 0u32;
    weights[n - 2] = 0;
    for node in (0..n - 2).rev() {
        weights[node] = weights[weights[node] as usize] + 1;
    }
    let (mut available, mut depth, mut node) = (1u32, 0u32, n as isize - 2);
    while available > 0 {
        let mut inner = 0;
        while node >= 0 && weights[node as usize] == depth {
            inner += 1;
            node -= 1;
        }
        let leaves = available - inner;
        if depth as usize > limit {
            overflowed += leaves;
        } else {
            of_length[depth as usize] += leaves as u16;
        }
        available = 2 * inner;
        depth += 1;
    }
    if overflowed > 0 {
        shorten(&mut of_length, limit, overflowed);
    }
    of_length
}

/// Gives codes to leaves that would have been longer than the limit.
fn shorten(of_length: &mut [u16; MOST_BITS + 1], limit: usize, overflowed: u32) {
    of_length[limit] += overflowed as u16;
    let whole = 1u32 << limit;
    let mut taken: u32 = (1..=limit).map(|bits| u32::from(of_length[bits]) << (limit - bits)).sum();
    // A code that is made one bit longer makes room for another as long, which comes from the end.
    while taken > whole {
        let Some(bits) = (1..limit).rev().find(|bits| of_length[*bits] > 0) else { return };
        of_length[bits] -= 1;
        of_length[bits + 1] += 2;
        of_length[limit] -= 1;
        taken -= 1;
    }
}

/// The codes of these lengths, each in the order in which its bits are written: the first one lowest.
pub(crate) fn codes(lengths: &[u8], codes: &mut [u16]) {
    let mut next = [0u16; MOST_BITS + 2];
    for &bits in lengths {
        next[usize::from(bits) + 1] += 1;
    }
    next[1] = 0;
    for bits in 1..=MOST_BITS {
        next[bits + 1] = (next[bits] + next[bits + 1]) << 1;
    }
    // `next[bits]` is the first code of that length.
    for (code, &bits) in codes.iter_mut().zip(lengths) {
        if bits > 0 {
            *code = next[usize::from(bits)].reverse_bits() >> (16 - bits);
            next[usize::from(bits)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of all codes of `limit` bits those of these lengths take up.
    fn taken(lengths: &[u8], limit: usize) -> u32 {
        lengths.iter().filter(|bits| **bits > 0).map(|bits| 1 << (limit - usize::from(*bits))).sum()
    }

    #[test]
    fn codes_are_as_short_as_can_be() {
        let mut found = [9; 6];
        lengths(&[1, 1, 2, 4, 0, 8], 15, &mut found);
        assert_eq!(found, [4, 4, 3, 2, 0, 1]);
        lengths(&[5, 5, 5, 5, 0, 0], 15, &mut found);
        assert_eq!(found, [2, 2, 2, 2, 0, 0]);
    }

    #[test]
    fn no_code_is_longer_than_its_limit_and_none_is_left_out() {
        // Of Fibonacci's numbers the tree is as deep as there are symbols.
        let mut counts = vec![1, 1];
        for at in 2..40 {
            counts.push(counts[at - 1] + counts[at - 2]);
        }
        for limit in [6, 7, 15] {
            for symbols in [2, 3, 7, 19, 40] {
                let mut found = vec![0; symbols];
                lengths(&counts[..symbols], limit, &mut found);
                assert!(found.iter().all(|bits| (1..=limit).contains(&usize::from(*bits))));
                assert_eq!(taken(&found, limit), 1 << limit, "{symbols} symbols of {limit} bits");
                assert!(found.is_sorted_by(|a, b| a >= b));
            }
        }
    }

    #[test]
    fn one_symbol_has_company() {
        for only in 0..3 {
            let mut counts = [0; 3];
            counts[only] = 7;
            let mut found = [9; 3];
            lengths(&counts, 15, &mut found);
            assert_eq!(found[only], 1);
            assert_eq!(taken(&found, 1), 2);
        }
        let mut found = [9; 3];
        lengths(&[0; 3], 15, &mut found);
        assert_eq!(found, [1, 1, 0]);
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        let mut found = [0; 8];
        codes(&[3, 3, 3, 3, 3, 2, 4, 4], &mut found);
        let expected = [0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111];
        assert_eq!(found, expected);
    }
}
