-- Schema app: personal finance, the demo's source. The tables come first; keys, indexes and triggers follow below the line
-- "after loading", where a bulk load splits this file: building them once is many times faster than row by row, and the
-- triggers would overwrite the updated_at of history.

create schema app;

create table app.orgs (
  id          bigint       not null,
  name        text         not null,
  time_zone   text         not null default 'UTC',
  currency    char(3)      not null,
  created_at  timestamptz  not null default now(),
  updated_at  timestamptz  not null default now()
);

create table app.users (
  id               bigint       not null,
  org_id           bigint       not null,
  email            text         not null,
  hashed_password  text         not null,
  role             text         not null default 'member',
  created_at       timestamptz  not null default now(),
  updated_at       timestamptz  not null default now()
);

create table app.institutions (
  id          uuid         not null,
  org_id      bigint       not null,
  user_id     bigint       not null,
  name        text         not null,
  country     char(2)      not null,
  updated_at  timestamptz  not null default now()
);

create table app.connections (
  id              uuid         not null,
  org_id          bigint       not null,
  user_id         bigint       not null,
  institution_id  uuid         not null,
  provider        text         not null,
  status          text         not null default 'active',
  last_synced_at  timestamptz,
  created_at      timestamptz  not null default now(),
  updated_at      timestamptz  not null default now(),
  constraint connections_provider_known check (provider in ('csv', 'plaid', 'manual')),
  constraint connections_status_known check (status in ('active', 'error', 'revoked'))
);

create table app.accounts (
  id               uuid           not null,
  org_id           bigint         not null,
  user_id          bigint         not null,
  connection_id    uuid,
  name             text           not null,
  kind             text           not null,
  currency         char(3)        not null,
  opened_on        date           not null,
  closed_on        date,
  -- Balance before the first transaction; what is owed on credit and loan accounts is negative.
  opening_balance  numeric(14,2)  not null default 0,
  updated_at       timestamptz    not null default now(),
  constraint accounts_kind_known check (kind in ('checking', 'savings', 'credit', 'loan', 'investment')),
  constraint accounts_closed_after_opened check (closed_on >= opened_on)
);

create table app.transactions (
  id            uuid           not null,
  org_id        bigint         not null,
  user_id       bigint         not null,
  account_id    uuid           not null,
  booking_date  date           not null,
  value_date    date,
  -- Minus is money out; in the account's own currency.
  amount        numeric(14,2)  not null,
  currency      char(3)        not null,
  description   text           not null,
  merchant      text,
  category      text,
  pending       boolean        not null default false,
  -- The bank's own id; null where the user typed the row in.
  external_id   text,
  created_at    timestamptz    not null default now(),
  updated_at    timestamptz    not null default now()
);

create table app.tags (
  id          uuid         not null,
  org_id      bigint       not null,
  user_id     bigint       not null,
  name        text         not null,
  color       text,
  created_at  timestamptz  not null default now(),
  updated_at  timestamptz  not null default now()
);

-- A link has no updated_at: it comes and goes, it never changes.
create table app.transaction_tags (
  org_id          bigint       not null,
  user_id         bigint       not null,
  transaction_id  uuid         not null,
  tag_id          uuid         not null,
  created_at      timestamptz  not null default now()
);

-- What the bank reported, which need not be what the transactions add up to.
create table app.balance_snapshots (
  id          uuid           not null,
  org_id      bigint         not null,
  user_id     bigint         not null,
  account_id  uuid           not null,
  as_of       date           not null,
  balance     numeric(14,2)  not null,
  currency    char(3)        not null,
  created_at  timestamptz    not null default now(),
  updated_at  timestamptz    not null default now()
);

-- after loading

alter table app.orgs add primary key (id);
alter table app.users add primary key (id), add unique (email);
alter table app.institutions add primary key (id);
alter table app.connections add primary key (id);
alter table app.accounts add primary key (id);
alter table app.transactions add primary key (id), add unique (account_id, external_id);
alter table app.tags add primary key (id), add unique (user_id, name);
alter table app.transaction_tags add primary key (transaction_id, tag_id);
alter table app.balance_snapshots add primary key (id), add unique (account_id, as_of);

alter table app.users add foreign key (org_id) references app.orgs;
alter table app.institutions
  add foreign key (org_id) references app.orgs,
  add foreign key (user_id) references app.users;
alter table app.connections
  add foreign key (org_id) references app.orgs,
  add foreign key (user_id) references app.users,
  add foreign key (institution_id) references app.institutions;
alter table app.accounts
  add foreign key (org_id) references app.orgs,
  add foreign key (user_id) references app.users,
  add foreign key (connection_id) references app.connections;
alter table app.transactions
  add foreign key (org_id) references app.orgs,
  add foreign key (user_id) references app.users,
  add foreign key (account_id) references app.accounts;
alter table app.tags
  add foreign key (org_id) references app.orgs,
  add foreign key (user_id) references app.users;
alter table app.transaction_tags
  add foreign key (org_id) references app.orgs,
  add foreign key (user_id) references app.users,
  add foreign key (transaction_id) references app.transactions on delete cascade,
  add foreign key (tag_id) references app.tags on delete cascade;
alter table app.balance_snapshots
  add foreign key (org_id) references app.orgs,
  add foreign key (user_id) references app.users,
  add foreign key (account_id) references app.accounts;

create index on app.users (org_id);
create index on app.institutions (user_id);
create index on app.connections (user_id);
create index on app.connections (institution_id);
create index on app.accounts (user_id);
create index on app.accounts (connection_id);
create index on app.transactions (account_id, booking_date);
create index on app.transactions (user_id, booking_date);
create index on app.transaction_tags (tag_id);

create index on app.orgs (updated_at);
create index on app.users (updated_at);
create index on app.institutions (updated_at);
create index on app.connections (updated_at);
create index on app.accounts (updated_at);
create index on app.transactions (updated_at);
create index on app.tags (updated_at);
create index on app.balance_snapshots (updated_at);

-- now() is the start of the transaction, so a long one commits rows that look older than others already seen.
create function app.set_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end
$$;

create trigger set_updated_at before insert or update on app.orgs for each row execute function app.set_updated_at();
create trigger set_updated_at before insert or update on app.users for each row execute function app.set_updated_at();
create trigger set_updated_at before insert or update on app.institutions for each row execute function app.set_updated_at();
create trigger set_updated_at before insert or update on app.connections for each row execute function app.set_updated_at();
create trigger set_updated_at before insert or update on app.accounts for each row execute function app.set_updated_at();
create trigger set_updated_at before insert or update on app.transactions for each row execute function app.set_updated_at();
create trigger set_updated_at before insert or update on app.tags for each row execute function app.set_updated_at();
create trigger set_updated_at before insert or update on app.balance_snapshots for each row execute function app.set_updated_at();
