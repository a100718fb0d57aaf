/** What the demo's people are called by, bank at, buy and where. All of it is invented. */

export interface OrgKind {
  readonly name: string;
  readonly timeZone: string;
  readonly currency: string;
  readonly country: string;
  /** Units of the currency for what costs one euro. */
  readonly priceLevel: number;
  /** Cents that the smallest coin has: 100 where there are no hundredths. */
  readonly coin: number;
}

export const ORG_KINDS: readonly OrgKind[] = [
  { name: 'Nordlicht Haushalte', timeZone: 'Europe/Berlin', currency: 'EUR', country: 'DE', priceLevel: 1, coin: 1 },
  { name: 'Bluebird Money', timeZone: 'America/New_York', currency: 'USD', country: 'US', priceLevel: 1.1, coin: 1 },
  { name: 'みどり家計簿', timeZone: 'Asia/Tokyo', currency: 'JPY', country: 'JP', priceLevel: 160, coin: 100 },
  { name: 'Kea & Kauri', timeZone: 'Pacific/Auckland', currency: 'NZD', country: 'NZ', priceLevel: 1.8, coin: 1 },
  { name: 'Épargne Léman', timeZone: 'Europe/Zurich', currency: 'CHF', country: 'CH', priceLevel: 1.2, coin: 5 },
  { name: 'Casa Ipê', timeZone: 'America/Sao_Paulo', currency: 'BRL', country: 'BR', priceLevel: 4.2, coin: 1 },
  { name: 'घर का हिसाब', timeZone: 'Asia/Kolkata', currency: 'INR', country: 'IN', priceLevel: 42, coin: 1 },
];

export const BANKS = [
  'Elbufer Bank',
  'Sparhaus Süd',
  'Harbor Mutual',
  '海山銀行',
  'Crédit du Col',
  'Banco Três Pontes',
  'Kiwi Ledger',
] as const;

export const ACCOUNT_NAMES = {
  checking: ['Girokonto', 'Everyday', '普通預金', 'Compte courant', 'Conta corrente'],
  savings: ['Sparschwein 🐷', 'Rainy day', 'Épargne', 'Poupança', '貯金'],
  credit: ['Kreditkarte', 'Blue card', 'Carte bleue', 'Cartão'],
  loan: ['Autokredit', 'Student loan', 'Prêt travaux', '住宅ローン'],
  investment: ['Depot', 'Brokerage', 'Fonds "Welt"', '積立'],
  foreign: ['Reisekonto', 'Travel money'],
  reserve: ['Reserve', 'Second pot'],
  cash: ['Bargeld', 'Cash in hand'],
  old: ['Altes Konto', 'Old account'],
  dormant: ['Vergessenes Konto', 'Unused'],
} as const;

export const TAGS = [
  { name: 'Haushalt', color: '#3d7a5a', categories: ['groceries', 'household', 'utilities'] },
  { name: 'eating out', color: '#c8553d', categories: ['dining', 'coffee'] },
  { name: 'Urlaub ☀️', color: null, categories: ['travel'] },
  { name: 'Kinder', color: '#588b8b', categories: ['childcare', 'gifts'] },
  { name: 'work', color: '#28262c', categories: ['transport', 'coffee', 'subscriptions'] },
  { name: 'fixed costs', color: '#93b7be', categories: ['rent', 'utilities', 'insurance', 'subscriptions'] },
  { name: 'fun', color: null, categories: ['leisure', 'shopping', 'subscriptions'] },
  { name: '医療', color: '#f28f3b', categories: ['health'] },
] as const;

export interface Habit {
  readonly category: string;
  readonly perMonth: number;
  /** In euros; half of the purchases are cheaper. */
  readonly median: number;
  /** Length of the tail: 0.3 is even, 1.2 has the odd purchase of ten times the median. */
  readonly spread: number;
  /** How likely from Monday to Sunday. */
  readonly week: readonly number[];
  /** How likely from January to December, where it matters. */
  readonly year?: readonly number[];
  readonly merchants: readonly string[];
}

const ANY_DAY = [1, 1, 1, 1, 1, 1, 1];
const WORKDAYS = [1.4, 1.4, 1.4, 1.4, 1.3, 0.1, 0];

export const HABITS: readonly Habit[] = [
  {
    category: 'groceries',
    perMonth: 11,
    median: 34,
    spread: 0.65,
    week: [0.7, 0.7, 0.8, 0.9, 1.3, 2.2, 0.4],
    merchants: ['Grünmarkt', 'Hof & Feld', '八百屋みどり', 'Corner Pantry', 'Épicerie Nº 9', 'Mercado Ipê'],
  },
  {
    category: 'dining',
    perMonth: 7,
    median: 27,
    spread: 0.55,
    week: [0.4, 0.6, 0.8, 1, 1.8, 1.8, 0.6],
    merchants: ['Señora Masa', 'Slice Lab 🍕', 'Zum Süßen Löffel', 'Nori & Co', '"Chez" Lumière', 'Łąka Bistro'],
  },
  {
    category: 'coffee',
    perMonth: 10,
    median: 4.2,
    spread: 0.3,
    week: WORKDAYS,
    merchants: ['Café Åre', 'Bean There', 'Rösterei 41', 'Pão Quente'],
  },
  {
    category: 'transport',
    perMonth: 9,
    median: 8.5,
    spread: 0.7,
    week: WORKDAYS,
    merchants: ['Stadtlinie', 'MetroHop', 'Velo Verleih', 'Tankhof A7', '緑タクシー'],
  },
  {
    category: 'shopping',
    perMonth: 4,
    median: 42,
    spread: 1.1,
    week: [0.8, 0.8, 0.8, 0.9, 1.1, 1.8, 0.8],
    year: [1, 0.7, 0.8, 0.9, 1, 1, 1.1, 0.8, 0.9, 1, 1.7, 2.1],
    merchants: ['Kaufraum', 'Needle & Thread', 'Gadget Grotto', 'Möbelwerk', "O'Briar Books"],
  },
  {
    category: 'leisure',
    perMonth: 3,
    median: 19,
    spread: 0.6,
    week: [0.5, 0.5, 0.6, 0.8, 1.5, 2, 1.1],
    merchants: ['Kino Astra', 'Boulderhalle', 'Pixel Arcade', 'Théâtre du Quai'],
  },
  {
    category: 'health',
    perMonth: 1.2,
    median: 24,
    spread: 0.8,
    week: [1.3, 1.3, 1.2, 1.2, 1.2, 0.8, 0],
    merchants: ['Apotheke am Tor', 'Clear Sight Optics', 'Zahnpraxis Mitte'],
  },
  {
    category: 'household',
    perMonth: 1.5,
    median: 31,
    spread: 0.9,
    week: ANY_DAY,
    merchants: ['Baumarkt Nagel', 'Seifenladen', 'Home Harbor'],
  },
  {
    category: 'travel',
    perMonth: 0.5,
    median: 210,
    spread: 1,
    week: ANY_DAY,
    year: [0.5, 0.6, 0.7, 1, 1.3, 1.6, 2.4, 2.2, 0.8, 0.6, 0.5, 1.4],
    merchants: ['Fernweh Reisen', 'Hotel Seeblick', 'SkyHop', 'Ferry & Fjord'],
  },
  {
    category: 'gifts',
    perMonth: 0.6,
    median: 35,
    spread: 0.8,
    week: ANY_DAY,
    year: [0.5, 1, 0.7, 0.8, 1, 0.8, 0.7, 0.7, 0.8, 0.8, 1.4, 3.2],
    merchants: ['Blumen Ecke', 'Spielzeugkiste', 'Paper Crane'],
  },
  {
    category: 'childcare',
    perMonth: 0.8,
    median: 60,
    spread: 0.5,
    week: WORKDAYS,
    merchants: ['Kita Pusteblume', 'After School Club'],
  },
];

export interface Bill {
  readonly category: string;
  readonly merchant: string;
  /** In euros. */
  readonly amount: number;
  readonly dayOfMonth: number;
  /** Every how many months. */
  readonly every: number;
  /** Share by which it differs from time to time. */
  readonly varies: number;
}

export const BILLS: readonly Bill[] = [
  { category: 'rent', merchant: 'Wohnbau eG', amount: 910, dayOfMonth: 29, every: 1, varies: 0 },
  { category: 'utilities', merchant: 'Stadtwerke', amount: 84, dayOfMonth: 5, every: 1, varies: 0.25 },
  { category: 'utilities', merchant: 'Wasser & Wärme', amount: 61, dayOfMonth: 12, every: 2, varies: 0.3 },
  { category: 'subscriptions', merchant: 'Fernklang Mobil', amount: 19.99, dayOfMonth: 8, every: 1, varies: 0 },
  { category: 'subscriptions', merchant: 'StreamNest', amount: 12.99, dayOfMonth: 17, every: 1, varies: 0 },
  { category: 'subscriptions', merchant: 'Blätterwald digital', amount: 7.9, dayOfMonth: 22, every: 1, varies: 0 },
  { category: 'insurance', merchant: 'Schirm & Schutz', amount: 146.2, dayOfMonth: 31, every: 3, varies: 0 },
];

/** Notes that people and banks really leave: empty, with quotes, line breaks, tabs, backslashes and what spreadsheets choke on. */
export const ODD_DESCRIPTIONS = [
  '',
  'split "50/50", thanks',
  'line one\nline two',
  'tab\there',
  'C:\\rent\\2024',
  '=1+1',
  "it's 5 o'clock; -- really",
  '\\N',
  'Ünïcödé 🧾 家賃 मकान',
  '  leading and trailing  ',
] as const;
