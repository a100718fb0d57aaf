import { testRandomHistories } from './random-histories.ts';

testRandomHistories(20261121);
