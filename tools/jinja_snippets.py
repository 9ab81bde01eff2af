"""Small templates with their variables, which tools/make_jinja_golden.py renders."""

V = {"s": "hello", "n": 3, "f": 2.5, "t": True, "none_value": None, "l": [3, 1, 2], "e": [],
     "d": {"b": 1, "a": "x", "items": "own"}, "u": "Grüße 世界 👍",
     "people": [{"name": "Bo", "age": 5}, {"name": "al", "age": 3}, {"name": "Cy", "age": 5}]}

TEXT = r'''
plain text
{{ s }} and {{ n }}{{ f }}{{ t }}{{ none_value }}{{ missing }}
{{ l }}{{ e }}{{ d }}{{ u }}
{{ [s, u, 'it\'s', "q\"", 'a\'b"c', 'tab\t', '\x7f\x00', '\u200b\xad'] }}
{{ (1,) }}{{ (1, 2) }}{{ () }}{{ {} }}{{ {'a': (1, [2.0])} }}
{{ 1.0 }} {{ 0.1 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789.125 }} {{ 1e-4 }} {{ 1e-5 }} {{ 1.5e300 }} {{ -0.0 }}
{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }}
{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 2.0 ** 0.5 }}
{{ 1_000 }} {{ 0x1f }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e3 }} {{ 1e3 }}
{{ 'a' 'b' "c" }} {{ 'a' ~ 1 ~ none ~ true ~ [1] }} {{ 'ab' * 3 }} {{ 3 * 'x' }} {{ [1] * 2 }} {{ [1] + [2] }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 'a' == 1 }}
{{ 1 != 2 }} {{ 2 >= 2 }} {{ 2 <= 1 }} {{ not 1 }} {{ not not '' }} {{ not missing }}
{{ 1 in l }} {{ 9 not in l }} {{ 'ell' in s }} {{ 'a' in d }} {{ '' in s }} {{ 1 in missing }} {{ not 1 in l }}
{{ s and n }} {{ '' or 'x' }} {{ 0 or e or 'last' }} {{ 1 and 0 }} {{ none or false }}
{{ 'y' if t else 'n' }} {{ 'y' if false }} {{ 'a' if false else 'b' if false else 'c' }} {{ (1 if t) + 1 }}
{{ s[0] }} {{ s[-1] }} {{ s[10] }} {{ s[1:3] }} {{ s[::-1] }} {{ s[-3:] }} {{ s[:-1] }} {{ s[::2] }} {{ u[6:8] }} {{ u[-1] }}
{{ l[0] }} {{ l[-1] }} {{ l[5] }} {{ l[1:] }} {{ l[::-1] }} {{ l[:2] }} {{ l[5:] }} {{ l[-2::-1] }} {{ l[3:0:-2] }} {{ (1,2,3)[1:] }}
{{ d.a }} {{ d['b'] }} {{ d.items is callable }}x
{{ d['items'] }} {{ d.nope }} {{ d.get('a') }} {{ d.get('z') }} {{ d.get('z', 4) }} {{ d.keys() | list }} {{ d.values() | list }}
{{ d.items() }} {{ d.keys() }} {{ d.values() }} {{ d.items() | list }} {{ d | items | list }} {{ d | length }}
{{ people[0].name }} {{ people.0.name }} {{ people[0]['age'] }} {{ people[9] }}
{{ range(3) }} {{ range(1, 7, 2) | list }} {{ range(3, 0, -1) | list }} {{ range(0) | list }} {{ range(5)[1] }}
{{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict([('k', 'v')]) }}
{{ {'a': 1, 'a': 2} }} {{ {1: 'i', 1.0: 'f', true: 't'} }} {{ {none: 1}[none] }} {{ {(1, 2): 3}[(1, 2)] }}
{% if n > 2 %}big{% elif n > 1 %}mid{% else %}small{% endif %}
{% if missing %}a{% elif e %}b{% elif d %}c{% endif %}
{% if missing is defined %}1{% endif %}{% if s is defined and s is string %}2{% endif %}
{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in e %}x{% else %}none{% endfor %}|{% for x in missing %}x{% else %}none{% endfor %}
{% for x in 'añb' %}[{{ x }}]{% endfor %}{% for k in d %}{{ k }};{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in d | items %}{{ k }}{% endfor %}
{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}no{% endfor %}
{% for x in l if x > 9 %}{{ x }}{% else %}no{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {{ loop.previtem is defined }} {% endfor %}
{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}
{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in [1, [2, [3]]] recursive %}{{ x if x is number else '(' + loop(x) + ')' }}{{ loop.depth }}{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% break %}{% else %}else{% endfor %}|{% for x in l %}{{ loop }}{% endfor %}
{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns }} {{ ns.y }}
{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b, c = 2, 3 %}{{ ns.a }}{{ ns['b'] }}{{ c }}{{ ns.z is defined }}
{% set ns = namespace({'q': 1}, r=2) %}{{ ns.q + ns.r }}
{% set a, b = 1, [2] %}{{ a }}{{ b }}{% set (c, d2) = (3, 4) %}{{ c }}{{ d2 }}{% set t2 = 1, %}{{ t2 }}
{% set x %}block {{ n }}{% endset %}[{{ x }}]{% set y | upper %}abc{% endset %}{{ y }}{% set z | replace('a', 'b') | upper %}aa{% endset %}{{ z }}
{% if true %}{% set x = 5 %}{% endif %}{{ x }}{% if false %}{% set y = 5 %}{% endif %}{{ y is defined }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% set c = 9 %}{% endwith %}{{ a }}{{ c }}
{% with %}{% set s = 'inner' %}{{ s }}{% endwith %}{{ s }}
{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a', 'b') | trim %} aaa {% endfilter %}|
{% macro m(a, b='B', c=n) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}{{ m(c=1, a=2) }}{{ m() }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}{{ m }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}{{ m() }}
{% macro m(x) %}{{ x }}:{{ caller() }}{% endmacro %}{% call m(1) %}body {{ s }}{% endcall %}
{% macro m() %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) m() %}<{{ i }}>{% endcall %}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro outer() %}{% set y = 2 %}{% macro inner() %}{{ y }}{{ s }}{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}
{% macro m() %}{{ late }}{% endmacro %}{{ m() }}{% set late = 1 %}{{ m() }}
{% macro m() -%}  x  {%- endmacro %}[{{ m() }}]{{ m() | length }}{{ m() is string }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'a': 2}) }}
{% generation %}said {{ s }}{% endgeneration %}{% generation %}{% set q = 1 %}{% endgeneration %}{{ q is defined }}
{# comment #}a{#- strip -#} b {# {{ x }} {% if %} #}c
{% raw %}{{ x }} {% if %} {# c #}{% endraw %}|{%- raw -%}  {{ y }}  {%- endraw -%}  |
  {% raw %}  indented  {% endraw %}  
{{ "}}" }}{{ {'a': {'b': 1}} }}{{ '{%' }}{{ '%}' }}{{ [{}] }}
{{- ' x ' -}}   {{ s -}}   |   {{- s }}
{%+ if t %}  a{%+ endif %}   {%- if t -%}   b   {%- endif +%}  
{{+ n }}{{ +n }}{{ -n }}{{ - n }}{{ +true }}{{ -2.5 }}{{ - - 2 }}
{{ s.upper() }}{{ 'ABC'.lower() }}{{ 'the qUick-fox it\'s'.title() }}{{ 'hELLO wORLD'.capitalize() }}
{{ '  x '.strip() }}|{{ '  x '.lstrip() }}|{{ '  x '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.strip('ab') }}|{{ '\u00a0\u3000x\u2003'.strip() }}|
{{ '\n\nx\n'.lstrip('\n') }}|{{ 'x</t>'.rstrip('</t>') }}|{{ 'éxé'.strip('é') }}|
{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a b c'.split(None, 1) }}{{ ''.split() }}{{ ''.split(',') }}
{{ 'a,b,c'.rsplit(',', 1) }}{{ ' a b  c '.rsplit(None, 1) }}{{ 'aaa'.rsplit('aa') }}{{ 'aaa'.split('aa') }}{{ ' a b c '.split(maxsplit=1) }}
{{ 'a\nb\r\nc\rd\n'.splitlines() }}{{ 'a\nb\n'.splitlines(true) }}{{ 'a=b=c'.partition('=') }}{{ 'a=b=c'.rpartition('=') }}{{ 'abc'.partition('-') }}{{ 'abc'.rpartition('-') }}
{{ s.startswith('he') }}{{ s.endswith('lo') }}{{ s.startswith('lo', 3) }}{{ s.startswith(('x', 'h')) }}{{ s.endswith('') }}{{ s.startswith('h', 0, 1) }}
{{ s.replace('l', 'L') }}{{ s.replace('l', 'L', 1) }}{{ s.replace('', '-') }}{{ s.replace('', '-', 2) }}{{ s.replace('', '-', 6) }}{{ 'aaa'.replace('aa', 'b') }}{{ s.replace('l', 'L', 0) }}
{{ s.find('l') }}{{ s.rfind('l') }}{{ s.find('z') }}{{ u.find('世') }}{{ s.count('l') }}{{ s.count('') }}{{ '-'.join(['a', 'b']) }}{{ ''.join([]) }}
{{ s.center(9) }}|{{ s.ljust(7) }}|{{ s.rjust(7, '*') }}|{{ 'ab'.center(5, '-') }}|{{ 'abc'.center(6, '-') }}
{{ 'pre-x'.removeprefix('pre-') }}{{ 'x.txt'.removesuffix('.txt') }}{{ '12'.isdigit() }}{{ ' '.isspace() }}{{ 'A'.isupper() }}{{ 'a1'.islower() }}
{{ '{} {}'.format(1, 'a') }}{{ '{1}{0}{x}'.format('a', 'b', x='c') }}{{ '{{}}'.format() }}
{{ '%s is %d, %5.2f|%-5s|%05d|%x|%r|%%' % ('a', 3, 2.345, 'b', 42, 255, 'q') }}{{ '%s' % n }}{{ '%(a)s' % {'a': 1} }}{{ '%+d % d %o %e %g' % (1, 2, 8, 1234.5, 0.0001) }}
{{ s | upper }}{{ 'ABC' | lower }}{{ 'hello wORLD' | title }}{{ 'foo-bar (baz) [q] {z} <w> it\'s' | title }}{{ 'ß ﬁ' | upper }}{{ 'hELLO' | capitalize }}{{ 'ΟΔΟΣ Σ' | lower }}{{ 'ǆ ß' | capitalize }}
{{ '  x ' | trim }}|{{ 'xax' | trim('x') }}|{{ missing | trim }}|{{ 5 | trim }}|{{ '\x1cx\x85' | trim }}
{{ s | length }}{{ u | length }}{{ l | count }}{{ d | length }}{{ missing | length }}{{ '' | length }}
{{ l | join(', ') }}|{{ l | join }}|{{ people | join(', ', attribute='name') }}|{{ [1, none, 'a', 2.0] | join('-') }}|{{ 'abc' | join('.') }}|{{ missing | join(',') }}
{{ missing | default('d') }}{{ none_value | default('d') }}{{ '' | default('d', true) }}{{ s | d('x') }}{{ missing | default }}|{{ missing | default(boolean=true, default_value=7) }}
{{ s | replace('l', 'L') }}{{ s | replace('l', 'L', 1) }}{{ 1010 | replace(0, 'x') }}{{ 'a.b' | replace('.', '') }}
{{ l | first }}{{ l | last }}{{ 'abc' | first }}{{ 'abc' | last }}{{ e | first }}{{ e | last }}{{ d | first }}{{ d | last }}
{{ '42' | int }}{{ '4.9' | int }}{{ 'x' | int }}{{ 'x' | int(7) }}{{ 3.99 | int }}{{ -3.99 | int }}{{ '0x1f' | int(base=16) }}{{ 'ff' | int(0, 16) }}{{ true | int }}{{ ' 12 ' | int }}{{ none_value | int }}{{ '1_0' | int }}
{{ '2.5' | float }}{{ 'x' | float }}{{ 3 | float }}{{ 'x' | float(1.5) }}{{ '1e3' | float }}{{ 'inf' | float }}{{ '-nan' | float }}
{{ 5 | string + 'a' }}{{ none | string }}{{ [1] | string }}{{ true | string }}{{ 1.0 | string }}{{ d | string }}
{{ -5 | abs }}{{ -2.5 | abs }}{{ 2.5 | round }}{{ 3.5 | round }}{{ 2.675 | round(2) }}{{ 2.123 | round(1, 'ceil') }}{{ 2.19 | round(1, 'floor') }}{{ 42 | round }}{{ 1234.5 | round(-2) }}{{ 42.55 | round | int }}
{{ l | sort }}{{ l | sort(reverse=true) }}{{ ['b', 'A', 'c'] | sort }}{{ ['b', 'A', 'c'] | sort(case_sensitive=true) }}{{ people | sort(attribute='age') | map(attribute='name') | list }}{{ people | sort(attribute='age,name') | map(attribute='name') | list }}
{{ d | dictsort }}{{ d | dictsort(reverse=true) }}{{ {'b': 2, 'A': 1, 'c': 0} | dictsort }}{{ {'b': 2, 'A': 1} | dictsort(true) }}{{ {'b': 2, 'A': 1} | dictsort(by='value') }}
{{ l | reverse | list }}{{ s | reverse }}{{ u | reverse }}{{ l | list }}{{ 'abc' | list }}{{ d | list }}{{ missing | list }}
{{ l | min }}{{ l | max }}{{ l | sum }}{{ people | sum(attribute='age') }}{{ l | sum(start=10) }}{{ people | max(attribute='age') }}{{ ['b', 'A'] | min }}{{ e | max }}
{{ [1, 2, 1, 'a', 'A'] | unique | list }}{{ people | unique(attribute='age') | map(attribute='name') | list }}
{{ people | map(attribute='name') | list }}{{ people | map(attribute='zip', default='-') | list }}{{ l | map('string') | list }}{{ ['a', 'b'] | map('upper') | join }}{{ ['a'] | map('replace', 'a', 'z') | list }}{{ missing | map('upper') | list }}{{ people | map('length') | list }}
{{ [0, 1, '', 'a'] | select | list }}{{ [0, 1, '', 'a'] | reject | list }}{{ l | select('odd') | list }}{{ l | reject('gt', 1) | list }}{{ l | select('in', [1, 2]) | list }}
{{ people | selectattr('age', 'equalto', 5) | map(attribute='name') | join(',') }}{{ people | rejectattr('age', '==', 5) | list }}{{ people | selectattr('zip') | list }}{{ people | selectattr('zip', 'defined') | list }}{{ people | selectattr('name', 'in', ['Bo', 'Cy']) | list | length }}
{{ l | batch(2) | list }}{{ l | batch(2, 0) | list }}{{ l | slice(2) | list }}{{ l | slice(2, 'x') | list }}
{% for g in people | groupby('age') %}{{ g.grouper }}:{{ g.list | length }} {% endfor %}{% for k, v in people | groupby('age') %}{{ k }}{{ v }}{% endfor %}{{ people | groupby('age') | first }}
{{ d | tojson }}{{ l | tojson }}{{ s | tojson }}{{ none | tojson }}{{ true | tojson }}{{ 1.0 | tojson }}{{ 1e22 | tojson }}{{ (1, 2) | tojson }}{{ {} | tojson }}{{ [] | tojson }}{{ u | tojson }}
{{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }}{{ [] | tojson(indent=2) }}{{ [1] | tojson(indent=0) }}{{ [1] | tojson(indent='--') }}
{{ u | tojson(ensure_ascii=true) }}{{ {'b': 1, 'a': [1, 2]} | tojson(sort_keys=true) }}{{ {'b': 1, 'a': [1, 2]} | tojson(separators=(',', ':')) }}{{ {'a': 1, 'b': 2} | tojson(indent=1, separators=('; ', ' = ')) }}
{{ '"\\/\b\f\n\r\t\x01\x7f\u2028<>&\'' | tojson }}{{ {1: 2, none: 3, true: 4, 2.5: 5} | tojson }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb\n\nc' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ') }}|{{ 'a\n' | indent }}|{{ '' | indent(2, true) }}|
{{ 'abc' | center(9) }}|{{ 'foo bar baz qux' | truncate(9) }}|{{ 'foo bar baz qux' | truncate(9, true) }}|{{ 'foo bar baz qux' | truncate(11) }}|{{ 'foo bar baz qux' | truncate(11, false, '...', 0) }}
{{ '<a href="x">&\'' | e }}{{ '<b>' | escape }}{{ '<b>' | safe }}{{ '<b>' | safe + '<c>' }}{{ '<b>' | e | e }}{{ '<b>' | e | forceescape }}
{{ '%s-%s' | format(1, 'b') }}{{ '%(x)s' | format(x=2) }}{{ 'abc' | attr('upper') is defined }}
{{ 1 is odd }}{{ 2 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ s is string }}{{ n is number }}{{ t is number }}{{ t is boolean }}{{ n is integer }}{{ t is integer }}{{ f is float }}
{{ d is mapping }}{{ l is mapping }}{{ l is iterable }}{{ s is iterable }}{{ n is iterable }}{{ d is iterable }}{{ l is sequence }}{{ s is sequence }}{{ d is sequence }}{{ n is sequence }}{{ missing is iterable }}{{ none is iterable }}
{{ none_value is none }}{{ none is not none }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ missing is undefined }}{{ missing is defined }}{{ (missing.x is defined) if false else 1 }}
{{ 1 is eq 1 }}{{ 1 is equalto 2 }}{{ 1 is ne 2 }}{{ 1 is lt 2 }}{{ 1 is lessthan 1 }}{{ 2 is gt 1 }}{{ 2 is ge 2 }}{{ 2 is le 1 }}{{ 1 is in [1] }}{{ 1 is not in [1] }}{{ 'a' is in 'abc' }}{{ 1 is sameas 1 }}{{ true is sameas true }}
{{ 'a' is lower }}{{ 'A' is upper }}{{ 'upper' is filter }}{{ 'nope' is filter }}{{ 'odd' is test }}{{ s.upper is callable }}{{ n is callable }}{{ range is callable }}
{{ not s is string }}{{ s is string and n is number }}{{ n is not string or false }}{{ n + 1 is number }}{{ (n is number) ~ 'x' }}
{{ (l | map('string')) is iterable }}{{ (l | map('string')) is sequence }}{% set g = l | map('string') %}{{ g | list }}{{ g | list }}
{{ 'x' if l is iterable and l is not string and l is not mapping else 'y' }}{{ [1, 2] == [1, 2] }}{{ (1, 2) == [1, 2] }}{{ {'a': 1} == {'a': 1.0} }}{{ missing == other }}{{ none == false }}
{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d %H:%M:%S %A %j %p %%') }}|{{ strftime_now('%-d/%-m %y %Z%z') }}|{{ strftime_now('') }}
{{ {'a': [1, 2, {'b': 'c'}]}['a'][2].b }}{{ 'abc'[1:][0] }}{{ (1, 2)[0] }}{{ [[1, 2], [3]][0][1] }}{{ 'abc'.upper().lower()[0] }}
{{ [1, 2,] }}{{ {'a': 1,} }}{{ (1, 2,) }}
{{ 09.5 }} {{ 00 }} {{ 0_0 }}
{% for x in l %}{% continue %}{% else %}else{% endfor %}|{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{% else %}else{% endfor %}|{{ 'a  '.split(none, 1) }}{{ ' a'.rsplit(none, 1) }}
{{ loop is defined }}{{ caller is defined }}{{ varargs is defined }}
{{ l.index(1) }}{{ l.count(3) }}{{ (1, 2).index(2) }}{{ l.copy() }}{{ d.copy() }}
{{ "\U0001F600" }}{{ '\a\b\f\v' | tojson }}{{ '\0' | length }}
{{ 3 | string | length }}{{ (n | string).upper() }}{{ -n | abs }}{{ n.foo }}{{ none.foo }}{{ true.x }}
{{ d.a.b.c if false }}{{ d.a.nope }}{{ 5[0] }}{{ none[0] }}{{ l['x'] }}{{ s['upper']() }}{{ d['get']('a') }}
{% set ns = namespace(a=[1]) %}{% set ns.me = [ns] %}{{ ns }}
{{ n == 3 and 'three' or 'other' }}{{ (n > 2) }}{{ [n > 2, n < 2] }}{{ 1 if n }}
'''
BLOCKS = [
    r"{{ '\x41\u00e9\101\q' }}", "{{ 'a\\\nb' }}", "{{ 'multi\nline' }}", r"{{ '\N{BULLET' }}",
    "{% for a in [1,2] %}\n  {{ a }}\n{% endfor %}\nend\n",
    "  {% if true %}\n  a\n  {% endif %}\n  b\n", "{% if true %}\n\n a {% endif %}\n\n", "\n\n",
    "a\n", "a\n\n", "a\r\nb\rc\r\n", "x {% if true %} y {% endif %} z\n", "\t{%- if true %}\n\t a\n{%- endif %}\n\n b",
    "a\n   {#- c #}\n   b\n   {# d #}\n   e {# f #}  \n", "  {{ 1 }}  \n  {{- 2 -}}  \n  3",
    "a {%+ if true +%}\n b\n{% endif +%}\n c", "{% raw %}\n a {% endraw %}\n b", "  {%- raw +%}x{% endraw %}",
    "{% raw -%}\n a\n {%- endraw -%}\n b", "a\n  {%+ raw %} x {%+ endraw %} \n", "a\n \u00a0{% if true %}b{% endif %}\u2003\n",
    "{% for i in [1, 2] -%}\n  {{ i }}\n{%- endfor %}", "{{ '\n' }}\n{{ '' }}\n", "{#- a -#}\n\n{#- b -#}\n", "a{#-#}b",
    "{% set x = 1 -%}\n\n {{ x }} {%- set y = 2 %}\n\n{{ y }}", "{%if true%}a{%endif%}{{1}}{%-if true-%} b {%-endif-%} c",
    "   \n  {% set a = 1 %}  \n  {% set b = 2 %}\n", "\n  {% if true %}x{% endif %}", "{ { {% if true %}{ {% endif %} } %} }} #}",
    "{% if true: %}colon{% endif %}", "{{ 1 }}{", "{", "{{", "{%", "{#", "{#-", "x{% raw -%}  ", "{# a", "{{ 1", "{{ 1 }", "{% raw %}", "}}", "%}",
    "{{ 'a }}", "{{ a b }}", "{{ }}", "{% %}", "{% nope %}", "{% if %}{% endif %}", "{% if true %}", "{% endif %}",
    "{% for x in %}{% endfor %}", "{% for 1 in l %}{% endfor %}", "{% set 1 = 2 %}", "{% set true = 2 %}", "{% else %}",
    "{{ 1 + }}", "{{ (1 }}", "{{ [1 }}", "{{ {1: } }}", "{{ ) }}", "{{ ( ] }}", "{{ a. }}", "{{ a[ }}", "{{ f(a=1, 2) }}",
    "{{ x is }}", "{{ x | }}", "{{ x is string is string }}", "{{ $ }}", "{{ a ! b }}", "{{ 1 = 2 }}", "{% break %}", "{% macro %}{% endmacro %}",
    "{% macro m(a=1, b) %}{% endmacro %}", "{% call x %}{% endcall %}", "{% macro m() %}{% break %}{% endmacro %}",
    "{% for x in l %}{% set y %}{% break %}{% endset %}{% endfor %}ok", "{{ '\\xZZ' }}", "{{ 09 }}", "{{ 1__0 }}", "{{ 1. }}", "{{ .5 }}",
]
FAILING = r'''
{{ missing.x }}
{{ missing['x'] }}
{{ missing() }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ 'a' + missing }}
{{ missing < 1 }}
{{ -missing }}
{{ missing[1:] }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ 'a' * 'b' }}
{{ 'a' - 'b' }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 1 // 0.0 }}
{{ 0 ** -1 }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ {} < {} }}
{{ 1 in 5 }}
{{ 1 in 'a' }}
{{ [] in {} }}
{{ {[]: 1} }}
{{ 5() }}
{{ s() }}
{{ s.nope() }}
{{ d.nope() }}
{{ d.pop('a') }}
{{ d.update({}) }}
{{ l.append(1) }}
{{ s.__class__ }}{{ s.__class__.x }}
{{ s.split('') }}
{{ s.replace('a') }}
{{ '-'.join([1]) }}
{{ s | nope }}
{{ s is nope }}
{{ 5 | length }}
{{ none | length }}
{{ 5 | list }}
{{ 5 | join }}
{{ missing | tojson }}
{{ namespace() | tojson }}
{{ [missing] | tojson }}
{{ range(3) | tojson }}
{{ (l | map('string')) | tojson }}
{{ (l | map('string')) | length }}
{{ (l | map('string')) | last }}
{{ l | map('nope') | list }}
{{ l | map | list }}
{{ l | select('nope') | list }}
{{ {(1, 2): 3} | tojson }}
{{ [1, 'a'] | sort }}
{{ ['a', 1] | min }}
{{ ['a'] | sum }}
{{ 'x' | abs }}
{{ 'x' | round }}
{{ missing | int }}
{{ s | items | list }}
{{ l | dictsort }}
{{ s | upper(1) }}
{{ s | default(1, 2, 3) }}
{{ s | replace(x=1) }}
{{ s is string(1) }}
{{ 1 is divisibleby 0 }}
{{ l[::0] }}
{{ l['a':] }}
{{ d[1:] }}
{{ n[1:] }}
{{ range(100001) }}
{{ range() }}
{{ range(1, 2, 0) }}
{{ range('a') }}
{{ '%d' % 'a' }}
{{ '%s %s' % 'a' }}
{{ '%s' % (1, 2) }}
{{ 'a' % 1 }}
{{ '%q' % 1 }}
{{ '{}'.format() }}
{{ '{'.format() }}
{{ raise_exception('stop: ' ~ n) }}
a{{ raise_exception('late') }}b
{% set x = raise_exception('in set') %}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(z=2) }}
{% macro m(a) %}{{ a.b }}{% endmacro %}{{ m() }}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}
{% for a, b in l %}{% endfor %}
{% for a, b in [[1]] %}{% endfor %}
{% set a, b = 1 %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% set s.x = 1 %}
{% set nope.x = 1 %}
{% for x in l %}{{ loop() }}{% endfor %}
{% for x in l %}{{ loop(l) }}{% endfor %}
{% for x in l %}{{ loop.cycle() }}{% endfor %}
{% include 'x' %}
{% extends 'x' %}
{% import 'x' as y %}
{% do 1 %}
{{ strftime_now(1) }}
{{ 'a'.center() }}
{{ 'a'.ljust(5, 'ab') }}
{{ l | batch(0) | list | length }}{{ missing_function(1) }}
'''

SNIPPETS = [line for line in TEXT.split("\n") if line] + BLOCKS
SNIPPETS += [line for line in FAILING.split("\n") if line]
