{% macro cents_to_amount(column_name) %}
    ({{ column_name }} / 100.0)::numeric(16, 2)
{% endmacro %}

{% macro share(part, whole, places=4) -%}
    {%- if places > 0 -%}
    round(cast({{ part }} as double) / nullif({{ whole }}, 0), {{ places }})
    {%- else -%}
    {{ exceptions.raise_compiler_error('share needs places') }}
    {%- endif -%}
{%- endmacro %}

{% macro row_id(columns) %}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(cast(" ~ column ~ " as " ~ dbt.type_string() ~ "), '')") -%}
    {%- endfor -%}
    {{ return(dbt.hash(dbt.concat(parts))) }}
{% endmacro %}
