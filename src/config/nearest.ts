/**
 * "Did you mean …": the known word that a misspelled one most likely stands for. Letters that were swapped count as one
 * mistake, as do one too many, one missing and a wrong one. Pure; the command line only.
 */

/** ` (did you mean "storm"?)`, or nothing where no known word is near. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const found = nearest(word, known);
  return found === undefined ? "" : ` (did you mean "${found}"?)`;
}

/** Longer ones are nobody's misspelling, and comparing them costs the square of their length. */
const MAX_WORD = 100;

/** So many letters are the beginning of a known word, and not a short one of their own. */
const MIN_BEGINNING = 4;

/** A third of the letters may be wrong, one in any case; case and the marks between words do not count. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > MAX_WORD) return undefined;
  const plain = (text: string): string => text.toLowerCase().replace(/[-_\s]/g, "");
  const wanted = plain(word);
  let best: { readonly name: string; readonly mistakes: number } | undefined;
  for (const name of known) {
    const candidate = plain(name);
    const isBeginning = wanted.length >= MIN_BEGINNING && candidate.startsWith(wanted);
    const mistakes = isBeginning ? 1 : distance(wanted, candidate);
    if (mistakes > Math.max(1, Math.floor(candidate.length / 3))) continue;
    if (best === undefined || mistakes < best.mistakes) best = { name, mistakes };
  }
  return best?.name;
}

/** Single mistakes between two words, swaps of neighbours included (optimal string alignment). */
function distance(a: string, b: string): number {
  let [older, before]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let min = Math.min(before[j]! + 1, row[j - 1]! + 1, before[j - 1]! + change);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) min = Math.min(min, older[j - 2]! + 1);
      row.push(min);
    }
    [older, before] = [before, row];
  }
  return before[b.length]!;
}
