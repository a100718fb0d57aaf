import {
  type Day,
  dayOfMonth,
  isLastOfMonth,
  isNthOfMonth,
  isPayday,
  monthIndex,
  monthOf,
  nextBusinessDay,
  weekdayOf,
} from './calendar.ts';
import { BILLS, type Bill, HABITS, type Habit } from './catalog.ts';
import type { Account, Household, Role } from './household.ts';
import type { Movement } from './movement.ts';
import { createRandom, type Random } from './random.ts';
import { type Event, recordEvent } from './record.ts';

/** Plays a household's days in order. Each day draws from a generator of its own, so that the past never depends on how far the future is played. */
export function liveThrough(household: Household, lastDay: Day): Movement[] {
  if (household.accounts.length === 0) return [];
  const traits = createTraits(household);
  const movements: Movement[] = [];
  const state: State = { household, traits, cardBill: 0, balances: new Map() };
  for (const account of household.accounts) state.balances.set(account, account.opening);
  for (let day = household.startDay; day <= lastDay; day += 1) {
    const random = createRandom(household.world.seed, 'life', household.index, day);
    for (const event of eventsOf(state, day, random)) {
      state.balances.set(event.account, (state.balances.get(event.account) ?? 0) + event.amount);
      movements.push(...recordEvent(household, random, event));
    }
  }
  return movements;
}

interface Traits {
  readonly activity: number;
  /** Hundredths of the org's currency a month. */
  readonly salary: number;
  readonly payday: number;
  readonly saving: number;
}

interface State {
  readonly household: Household;
  readonly traits: Traits;
  /** Spent by credit card since the last bill. */
  cardBill: number;
  readonly balances: Map<Account, number>;
}

/** Days before the epoch from which on the first user's days show every kind of change. */
const SHOWCASE_DAYS = 8;

function createTraits(household: Household): Traits {
  const random = createRandom(household.world.seed, 'traits', household.index);
  const price = (euros: number): number => toMoney(household, euros);
  return {
    activity: household.life === 'everything' ? 1.6 : 0.9 + random.next() * 0.9,
    salary: price(random.logNormal(2900, 0.25)),
    payday: random.pick([1, 15, 25, 28, 31]),
    saving: price(random.pick([50, 100, 150, 200, 250, 400])),
  };
}

/** Euros in hundredths of the org's currency, whole coins. */
function toMoney(household: Household, euros: number): number {
  const { priceLevel, coin } = household.org.kind;
  return Math.round((euros * priceLevel * 100) / coin) * coin;
}

function accountOf(state: State, role: Role, day: Day): Account | undefined {
  // What is about to be closed is left alone, so that nothing is pending when it closes.
  return state.household.accounts.find(
    (account) => account.role === role && day >= account.openedDay && day < account.closedDay - 5,
  );
}

function eventsOf(state: State, day: Day, random: Random): Event[] {
  const { household } = state;
  const closing = closeAccounts(state, day);
  if (household.life === 'quiet' && isQuietMonth(household, day)) return closing;
  const checking = accountOf(state, 'checking', day);
  if (checking === undefined) return closing;
  return [
    ...closing,
    ...income(state, checking, day, random),
    ...bills(state, checking, day, random),
    ...purchases(state, checking, day, random),
    ...transfers(state, checking, day, random),
    ...interest(state, day),
  ];
}

function isQuietMonth(household: Household, day: Day): boolean {
  return createRandom(household.world.seed, 'quiet', household.index, monthIndex(day)).chance(0.45);
}

function income(state: State, account: Account, day: Day, random: Random): Event[] {
  const { household, traits } = state;
  if (household.life === 'freelancer') {
    return Array.from({ length: random.poisson(0.13) }, () => {
      // Two weeks to pay, and a long tail of those who do not.
      const paidOn = nextBusinessDay(day + 3 + Math.round(random.logNormal(13, 0.8)));
      const amount = toMoney(household, random.logNormal(820, 0.6));
      return {
        account,
        day: paidOn,
        amount,
        category: 'freelance',
        description: `Invoice ${day}-${random.int(10, 99)}`,
      };
    });
  }
  if (!isPayday(day, traits.payday)) return [];
  const raise = 1 + Math.floor((day - household.startDay) / 365) * 0.03;
  const bonus = monthOf(day) === 12 ? 1.6 : 1;
  const coin = household.org.kind.coin;
  const amount = Math.round((traits.salary * raise * bonus) / coin) * coin;
  return [{ account, day, amount, category: 'salary', merchant: 'Werk & Söhne', description: 'Salary / Gehalt' }];
}

function bills(state: State, account: Account, day: Day, random: Random): Event[] {
  const { household } = state;
  const isDue = (bill: Bill): boolean => isNthOfMonth(day, bill.dayOfMonth) && monthIndex(day) % bill.every === 0;
  return BILLS.filter(isDue).map((bill) => {
    const amount = -toMoney(household, bill.amount * (1 + bill.varies * (random.next() - 0.5)));
    const description = `SEPA ${bill.merchant} ${monthOf(day)}`;
    const manner = bill.category === 'rent' ? 'announced' : 'plain';
    return {
      account,
      day: manner === 'plain' ? nextBusinessDay(day) : day,
      amount,
      category: bill.category,
      merchant: bill.merchant,
      description,
      manner,
    };
  });
}

function purchases(state: State, checking: Account, day: Day, random: Random): Event[] {
  const { household, traits } = state;
  const events: Event[] = [];
  const isShowcase =
    household.life === 'everything' && household.index === 0 && day > household.world.epoch - SHOWCASE_DAYS;
  if (isShowcase) {
    // one late, one double, one wrong at first
    for (const [place, habit] of HABITS.slice(0, 3).entries())
      events.push({ ...purchase(state, checking, day, habit, random), place });
  }
  const card = accountOf(state, 'credit', day);
  const month = monthOf(day) - 1;
  for (const habit of HABITS) {
    const mean =
      (habit.perMonth / 30.4) * traits.activity * (habit.week[weekdayOf(day)] ?? 1) * (habit.year?.[month] ?? 1);
    for (let count = random.poisson(mean); count > 0; count -= 1) {
      const account = payingAccount(state, checking, card, day, random);
      const event = purchase(state, account, day, habit, random);
      events.push(event);
      if (account === card) state.cardBill -= event.amount;
      // Things are sent back.
      if (habit.category === 'shopping' && random.chance(0.06)) {
        const amount = random.chance(0.7) ? -event.amount : Math.round(-event.amount / 200) * 100;
        events.push({
          ...event,
          day: nextBusinessDay(day + random.int(3, 20)),
          amount,
          category: 'refund',
          description: 'Refund',
        });
        if (account === card) state.cardBill -= amount;
      }
    }
  }
  return events;
}

function payingAccount(state: State, checking: Account, card: Account | undefined, day: Day, random: Random): Account {
  const cash = accountOf(state, 'cash', day);
  if (cash !== undefined && random.chance(0.15)) return cash;
  const old = accountOf(state, 'old', day);
  if (old !== undefined && random.chance(0.08)) return old;
  return card !== undefined && random.chance(0.5) ? card : checking;
}

function purchase(state: State, account: Account, day: Day, habit: Habit, random: Random): Event {
  const merchant = random.pick(habit.merchants);
  const price = toMoney(state.household, random.logNormal(habit.median, habit.spread));
  const description = `${merchant.toUpperCase()} ${random.int(1000, 9999)}`;
  // An account that closes gets no row that could come after its end.
  const manner = account.role === 'old' ? 'plain' : 'card';
  return { account, day, amount: -price, category: habit.category, merchant, description, manner };
}

function transfers(state: State, checking: Account, day: Day, random: Random): Event[] {
  const { household, traits } = state;
  const events: Event[] = [];
  const move = (from: Account | undefined, to: Account | undefined, amount: number, lag = random.int(0, 3)): void => {
    if (from !== undefined && to !== undefined && amount > 0) events.push(...transfer(from, to, day, amount, lag));
  };
  const of = (role: Role): Account | undefined => accountOf(state, role, day);
  if (isNthOfMonth(day, 3)) {
    move(checking, of('credit'), state.cardBill, random.int(0, 2));
    state.cardBill = 0;
  }
  if (isPayday(day, traits.payday)) move(checking, of('savings'), traits.saving);
  if (isNthOfMonth(day, 10)) move(checking, of('loan'), toMoney(household, 310), random.int(0, 1));
  if (isNthOfMonth(day, 16)) move(checking, of('investment'), toMoney(household, 120));
  if (isNthOfMonth(day, 20)) move(checking, of('reserve'), toMoney(household, 50), 0);
  // Five days are too far apart for a pair, whoever is sure that it is one.
  if (random.chance(0.01)) move(of('savings'), checking, toMoney(household, 75), 5);
  const cash = of('cash');
  if (cash !== undefined && random.chance(0.12))
    move(checking, cash, toMoney(household, random.pick([20, 50, 100])), 0);
  if (household.life === 'saver' && random.chance(0.25)) {
    // Equal sums on near days: which belongs to which is not obvious.
    for (let count = random.int(1, 3); count > 0; count -= 1) {
      const [from, to] = random.chance(0.7)
        ? [checking, of(random.pick(['savings', 'reserve'] as const))]
        : [of('savings'), checking];
      move(from, to, toMoney(household, random.pick([50, 50, 100])));
    }
  }
  const foreign = of('foreign');
  if (foreign !== undefined && random.chance(0.06)) {
    // Two currencies: never a pair, even where the numbers happen to be the same.
    const amount = toMoney(household, 100);
    events.push({ account: checking, day, amount: -amount, category: 'transfer', description: 'Exchange' });
    events.push({
      account: foreign,
      day: day + 1,
      amount: random.chance(0.3) ? amount : 10_830,
      category: 'transfer',
      description: 'Exchange',
    });
  }
  if (foreign !== undefined && random.chance(0.09)) {
    const amount = -Math.round(random.logNormal(1900, 0.7));
    events.push({
      account: foreign,
      day,
      amount,
      category: 'travel',
      merchant: 'Hotel Seeblick',
      description: 'abroad',
      manner: 'card',
    });
  }
  return events;
}

function transfer(from: Account, to: Account, day: Day, amount: number, lag: number): Event[] {
  return [
    { account: from, day, amount: -amount, category: 'transfer', description: 'Transfer out' },
    { account: to, day: day + lag, amount, category: 'transfer', description: 'Transfer in' },
  ];
}

function interest(state: State, day: Day): Event[] {
  if (!isLastOfMonth(day)) return [];
  const { household } = state;
  const events: Event[] = [];
  const booked = (account: Account | undefined, share: number, category: string, description: string): void => {
    if (account === undefined) return;
    const coin = household.org.kind.coin;
    const amount = Math.round(((state.balances.get(account) ?? 0) * share) / coin) * coin;
    events.push({ account, day, amount, category, description });
  };
  const isQuarter = monthOf(day) % 3 === 0;
  if (isQuarter) booked(accountOf(state, 'savings', day), 0.005, 'interest', 'Interest / Zinsen');
  booked(accountOf(state, 'loan', day), 0.0039, 'interest', 'Loan interest');
  booked(accountOf(state, 'investment', day), 0.0031, 'interest', 'Distribution');
  // A fee that was waived: a row of nothing.
  if (household.life === 'borrower' || isQuarter)
    booked(accountOf(state, 'checking', day), 0, 'fees', 'Account fee, waived');
  return events;
}

/** What is left moves out on the last day. */
function closeAccounts(state: State, day: Day): Event[] {
  return state.household.accounts.flatMap((account) => {
    const checking = accountOf(state, 'checking', day);
    const left = state.balances.get(account) ?? 0;
    if (account.closedDay !== day || checking === undefined || left === 0) return [];
    return left > 0 ? transfer(account, checking, day, left, 0) : transfer(checking, account, day, -left, 0);
  });
}

export function isReportDay(day: Day): boolean {
  return weekdayOf(day) === 6 || isLastOfMonth(day) || dayOfMonth(day) === 15;
}
