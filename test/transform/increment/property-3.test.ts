import { testRandomHistories } from './random-histories.ts';

testRandomHistories(30261121);
