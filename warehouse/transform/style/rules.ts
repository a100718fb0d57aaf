/** Rules of `sluice lint` beyond what the compiler refuses; a header may allow them by name. */
export const STYLE_RULES = [
  'unused_cte',
  'unqualified_column',
  'useless_order',
  'missing_description',
  'missing_key_test',
  'wide_number',
  'float_sum',
  'unneeded_allow',
] as const;
export type StyleRule = (typeof STYLE_RULES)[number];
