create table orders(id integer primary key, customer integer, amount integer);
create table customers(id integer primary key, name text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
  insert into customers select i, 'customer ' || i || ' ' || hex(i * 7919) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
  insert into orders select i, (i * 7919) % 5000 + 1, (i * 104729) % 1000 from n;
create index by_customer on orders(customer);
select count(*), sum(amount) from orders;
select c.name, sum(o.amount) s from orders o join customers c on c.id = o.customer
  group by c.id order by s desc, c.name limit 10;
select length(group_concat(name, ',')) from (select name from customers order by name);
delete from orders where id % 3 = 0;
vacuum;
select count(*), sum(amount) from orders;
pragma integrity_check;
