/** 1 row, 2 rows, 1,234 rows: of a noun whose plural ends in s. */
export function formatCounted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

/** What a commit changed, in the words of the command line: 5 new, 1,234 changed, 0 deleted. */
export function formatChanges(changes: {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}): string {
  const count = (n: number): string => n.toLocaleString('en-US');
  return `${count(changes.inserted)} new, ${count(changes.updated)} changed, ${count(changes.deleted)} deleted`;
}
