-- The raw tables of the bakery, for Postgres and for DuckDB alike.
create schema bakery;
create table bakery.customers (
  id integer primary key, shop_id integer not null, full_name varchar(60) not null, email varchar(60), joined_on date not null,
  is_member boolean not null
);
create table bakery.products (id integer primary key, name varchar(40) not null, kind varchar(10) not null, price_cents integer not null);
create table bakery.orders (
  id integer primary key, customer_id integer not null, ordered_at timestamp not null, status varchar(12) not null,
  updated_at timestamp not null
);
create table bakery.order_lines (
  order_id integer not null, line integer not null, product_id integer not null, quantity integer not null, primary key (order_id, line)
);
create table bakery.payments (
  id integer primary key, order_id integer not null, method varchar(10) not null, amount numeric(10, 2) not null
);
insert into bakery.customers values
  (1, 10, 'Ada Holm', 'ada@example.org', '2024-01-05', true),
  (2, 10, 'Bela Nagy', null, '2024-01-09', false),
  (3, 20, 'Céline d''Arc', 'celine@example.org', '2024-02-01', true),
  (4, 20, 'Dag Lund', 'dag@example.org', '2024-02-29', false),
  (5, 20, 'Emre Öz', null, '2024-03-03', false);
insert into bakery.products values
  (1, 'Rye loaf', 'bread', 450), (2, 'Croissant', 'pastry', 199), (3, 'Poppy roll', 'bread', 95), (4, 'Cake, "Sacher"', 'cake', 2850),
  (5, 'Éclair', 'pastry', 325);
insert into bakery.orders values
  (100, 1, '2024-03-01 08:05:00', 'done', '2024-03-01 09:00:00'),
  (101, 1, '2024-03-01 17:40:11', 'done', '2024-03-02 08:00:00'),
  (102, 2, '2024-03-02 07:59:59', 'returned', '2024-03-05 10:00:00'),
  (103, 3, '2024-03-02 12:00:00', 'done', '2024-03-02 12:10:00'),
  (104, 3, '2024-03-04 09:30:00', 'open', '2024-03-04 09:30:00'),
  (105, 4, '2024-03-05 23:59:59', 'done', '2024-03-06 00:10:00'),
  (106, 1, '2024-03-07 06:15:00', 'done', '2024-03-07 06:20:00');
insert into bakery.order_lines values
  (100, 1, 1, 2), (100, 2, 2, 3), (101, 1, 4, 1), (102, 1, 3, 12), (103, 1, 2, 1), (103, 2, 5, 2), (103, 3, 1, 1), (104, 1, 4, 2),
  (105, 1, 3, 7), (106, 1, 1, 1), (106, 2, 5, 4);
insert into bakery.payments values
  (1, 100, 'cash', 10.00), (2, 100, 'card', 4.97), (3, 101, 'card', 28.50), (4, 102, 'cash', 11.40), (5, 102, 'cash', -11.40),
  (6, 103, 'voucher', 5.00), (7, 103, 'card', 7.99), (8, 105, 'cash', 6.65), (9, 106, 'card', 17.50);
