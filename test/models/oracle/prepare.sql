-- Run once per comparison, in one repeatable-read transaction that is rolled back: everything below reads the same moment.
-- Expects the temporary table run(as_of date) of one row. Nothing here asks Postgres what day it is.

-- What the staging models call trimmed: DuckDB's trim() takes away every character of Unicode class Zs.
create function pg_temp.clean(value text) returns text language sql immutable return
  btrim(value, U&'\0020\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\202F\205F\3000');

create temporary table visible on commit drop as
  select transactions.*, upper(pg_temp.clean(transactions.currency::text)) as code
  from app.transactions
  cross join run
  where transactions.booking_date <= run.as_of;

create index on visible (account_id, booking_date);
create index on visible (id);
analyze visible;

-- Each leg's first choice; a transfer is two legs that chose each other.
create temporary table first_choice on commit drop as
  select distinct on (leg.id)
    leg.id,
    other.id as partner_id,
    other.account_id as partner_account_id
  from visible as leg
  join visible as other
    on other.user_id = leg.user_id
    and other.code = leg.code
    and other.amount = -leg.amount
    and other.account_id <> leg.account_id
    and other.booking_date between leg.booking_date - 3 and leg.booking_date + 3
  where not leg.pending
    and not other.pending
    and leg.amount <> 0
  order by leg.id, abs(other.booking_date - leg.booking_date), other.booking_date, other.id;

create index on first_choice (id, partner_id);
analyze first_choice;

create temporary table transfer_leg on commit drop as
  select mine.id, mine.partner_id, mine.partner_account_id
  from first_choice as mine
  where exists (
    select from first_choice as theirs
    where theirs.id = mine.partner_id and theirs.partner_id = mine.id
  );

create unique index on transfer_leg (id);
analyze transfer_leg;

-- Income and spending: booked, moving money, and no leg of a transfer.
create temporary table counted on commit drop as
  select id, org_id, user_id, code, booking_date, amount
  from visible
  where not pending
    and amount <> 0
    and not exists (select from transfer_leg where transfer_leg.id = visible.id);

create index on counted (user_id, code, booking_date);
analyze counted;

-- A tag hangs on a transaction when the same user owns the tag and the link.
create temporary table tagging on commit drop as
  select transaction_tags.user_id, transaction_tags.transaction_id, tags.id as tag_id, pg_temp.clean(tags.name) as tag_name
  from app.tags
  join app.transaction_tags on (transaction_tags.tag_id, transaction_tags.user_id) = (tags.id, tags.user_id);

create index on tagging (transaction_id);
create index on tagging (tag_id);
analyze tagging;

-- Days of each account: the first, and the last on which it has a row.
create temporary table life on commit drop as
  select
    accounts.id,
    accounts.org_id,
    accounts.user_id,
    upper(pg_temp.clean(accounts.currency::text)) as code,
    accounts.opening_balance,
    accounts.opened_on as first_day,
    case
      when accounts.closed_on is null or accounts.closed_on > run.as_of then run.as_of
      when accounts.closed_on < accounts.opened_on then accounts.opened_on
      else accounts.closed_on
    end as last_day
  from app.accounts
  cross join run
  where accounts.opened_on <= run.as_of;

-- Days on which a balance moves, what is dated outside the account's life moved to its edges.
create temporary table turn on commit drop as
  select
    life.id,
    case
      when visible.booking_date < life.first_day then life.first_day
      when visible.booking_date > life.last_day then life.last_day
      else visible.booking_date
    end as day,
    sum(visible.amount) as amount,
    count(*) as count
  from visible
  join life on life.id = visible.account_id and life.user_id = visible.user_id and life.code = visible.code
  where not visible.pending
  group by 1, 2;

create unique index on turn (id, day);
analyze turn;

-- The balance after each such day, added up anew from the opening balance.
create temporary table balance_after on commit drop as
  select
    turn.id,
    turn.day,
    (select life.opening_balance from life where life.id = turn.id)
      + (select sum(earlier.amount) from turn as earlier where earlier.id = turn.id and earlier.day <= turn.day) as balance
  from turn;

create unique index on balance_after (id, day);
analyze balance_after;
