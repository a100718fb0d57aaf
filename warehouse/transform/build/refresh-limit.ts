/**
 * How much may be touched before a rebuild is the quicker way. Measured on a fact of 1.3 million rows with a join and an aggregate over it
 * (bench increment): a refresh costs what it touches, a rebuild what there is, and they meet at 10 to 15 % where the changes lie together, and
 * at about 6 % where they are spread over the table.
 */

/** Beyond this share of many rows a rebuild is chosen. */
const SHARE_OF_MANY = 0.04;
/** Up to SMALL rows more may be touched: little is lost then, and whoever reads the rows goes on from row to row. */
const SHARE_OF_FEW = 0.2;
const SMALL = 10_000;

/** Of so many rows, the most that a refresh should touch. `share` in place of what was measured. */
export function refreshLimit(rows: number, share: number | undefined): number {
  return share === undefined ? Math.max(SHARE_OF_MANY * rows, Math.min(SHARE_OF_FEW * rows, SMALL)) : share * rows;
}

/** Of so many rows, the most that are handed on one by one after a rebuild: those who read them decide for themselves. */
export function handOnLimit(rows: number, share: number | undefined): number {
  return (share ?? SHARE_OF_FEW) * rows;
}

/** True for a change of so many rows that a table it reaches is taken to be another: worth no comparison row by row. */
export function isLarge(changed: number): boolean {
  return changed > SMALL;
}
