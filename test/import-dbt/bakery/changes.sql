-- What happens at the till on the next day: a late correction, a payment, a return, a new customer, a line that was a mistake.
update bakery.orders set status = 'done', updated_at = '2024-03-08 09:00:00' where id = 104;
insert into bakery.payments values (10, 104, 'card', 57.00);
update bakery.order_lines set quantity = 3 where order_id = 100 and line = 1;
insert into bakery.customers values (6, 30, 'Finn Åberg', 'finn@example.org', '2024-03-08', true);
insert into bakery.orders values (107, 6, '2024-03-08 10:00:00', 'open', '2024-03-08 10:00:00');
insert into bakery.order_lines values (107, 1, 5, 2);
delete from bakery.order_lines where order_id = 103 and line = 3;
update bakery.customers set email = 'bela@example.org' where id = 2;
