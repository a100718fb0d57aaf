/*
description: Nobody is called Ghost.
error_if: ">1"
*/
select id, last_name from gold.people where last_name = 'Ghost'
