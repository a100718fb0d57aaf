import { testRandomHistories } from './random-histories.ts';

testRandomHistories(10261121);
