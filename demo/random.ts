/** Seeded random numbers: the same seed and path give the same sequence on every machine and run. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform whole number from low to high, both included. */
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Long-tailed: half of the values lie below the median. */
  logNormal(median: number, sigma: number): number;
  /** How often something happens that happens `mean` times on average; for small means. */
  poisson(mean: number): number;
  uuid(): string;
}

/** A generator for one thing, e.g. createRandom(seed, 'user', 7, 'day', 20_270): independent of how many others were drawn from. */
export function createRandom(seed: number, ...path: readonly (number | string)[]): Random {
  let [a, b, c, d] = hash128(`${seed}/${path.join('/')}`);
  // sfc32: 128 bits of state, passes PractRand, a few additions per number
  const next32 = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  const next = (): number => next32() / 4_294_967_296;
  const random: Random = {
    next,
    int: (low, high) => low + Math.floor(next() * (high - low + 1)),
    chance: (probability) => next() < probability,
    pick(items) {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new RangeError('nothing to pick from');
      return item;
    },
    logNormal(median, sigma) {
      const radius = Math.sqrt(-2 * Math.log(1 - next()));
      return median * Math.exp(sigma * radius * Math.cos(2 * Math.PI * next()));
    },
    poisson(mean) {
      let count = 0;
      let left = next();
      let probability = Math.exp(-mean);
      while (left >= probability && count < 20) {
        left -= probability;
        count += 1;
        probability *= mean / count;
      }
      return count;
    },
    uuid: () => uuidOf(next32(), next32(), next32(), next32()),
  };
  return random;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function hex8(word: number): string {
  return `${HEX[word >>> 24]}${HEX[(word >>> 16) & 255]}${HEX[(word >>> 8) & 255]}${HEX[word & 255]}`;
}

/** Version 4, variant 1, as random UUIDs are. */
function uuidOf(w0: number, w1: number, w2: number, w3: number): string {
  const b = hex8((w1 & 0xffff0fff) | 0x4000);
  const c = hex8((w2 & 0x3fffffff) | 0x80000000);
  return `${hex8(w0)}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${hex8(w3)}`;
}

/** cyrb128, which spreads near-equal texts over all 128 bits. */
function hash128(text: string): [number, number, number, number] {
  let h1 = 1_779_033_703;
  let h2 = 3_144_134_277;
  let h3 = 1_013_904_242;
  let h4 = 2_773_480_762;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    h1 = h2 ^ Math.imul(h1 ^ code, 597_399_067);
    h2 = h3 ^ Math.imul(h2 ^ code, 2_869_860_233);
    h3 = h4 ^ Math.imul(h3 ^ code, 951_274_213);
    h4 = h1 ^ Math.imul(h4 ^ code, 2_716_044_179);
  }
  h1 = Math.imul(h3 ^ (h1 >>> 18), 597_399_067);
  h2 = Math.imul(h4 ^ (h2 >>> 22), 2_869_860_233);
  h3 = Math.imul(h1 ^ (h3 >>> 17), 951_274_213);
  h4 = Math.imul(h2 ^ (h4 >>> 19), 2_716_044_179);
  return [h1 ^ h2 ^ h3 ^ h4, h2 ^ h1, h3 ^ h1, h4 ^ h1];
}
