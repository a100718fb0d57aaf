/**
 * The rules that make the touched keys complete. Each can be left out by a test, which then must see a wrong table: so that no rule stands
 * here unproven, and none is lost unseen.
 */
export const RULES = [
  'null rows of an outer join',
  'old rows beside new ones',
  'a branch per occurrence',
  'null-aware in',
  'a changed semi or anti join is dropped',
  'having is dropped',
  'a window touches its whole partition',
  'a limit touches everything',
  'grouping sets are kept',
  'a global aggregate has one row',
  'conditions that cannot be traced are dropped',
  'both sides of a set operation',
] as const;

export type Rule = (typeof RULES)[number];
