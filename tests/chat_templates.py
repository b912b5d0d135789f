# ruff: noqa: E501, RUF001
"""Chat templates of our own, in the styles of published models, and conversations to render with them.

`python tests/chat_templates.py` writes what transformers renders to `tests/data/chat_templates.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RENDERED = Path(__file__).parent / "data" / "chat_templates.json"

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place, é & <b>.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
CALL = {"type": "function", "id": "c1", "function": {"name": "weather", "arguments": {"place": "Zürich"}}}

CONVERSATIONS: dict[str, dict[str, Any]] = {
    "question": {"messages": [{"role": "user", "content": "Hello!"}]},
    "system": {
        "messages": [
            {"role": "system", "content": "  Be brief.  "},
            {"role": "user", "content": "What is 2 < 3 & 4?"},
            {"role": "assistant", "content": "<think>\nhm\n</think>\n\nTrue.\n"},
            {"role": "user", "content": "Thanks"},
        ]
    },
    "ended": {
        "messages": [{"role": "user", "content": "a\nb"}, {"role": "assistant", "content": ""}],
        "add_generation_prompt": False,
    },
    "tools": {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]},
            {"role": "tool", "name": "weather", "content": '{"sky": "blue"}'},
            {"role": "tool", "name": "weather", "content": "rain"},
        ],
        "tools": [TOOL],
    },
    "parts": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look: "},
                    {"type": "image", "image": "x.png"},
                    {"type": "audio", "audio": "x.wav"},
                    {"type": "text", "text": "what?"},
                ],
            }
        ]
    },
    "wrong order": {
        "messages": [{"role": "assistant", "content": "I begin"}, {"role": "assistant", "content": "Twice"}]
    },
}

COMMON: dict[str, Any] = {
    "add_generation_prompt": True,
    "tools": None,
    "documents": None,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}

_ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
_TEXT_PARTS = """{%- macro text_of(content) -%}
{%- if content is string -%}{{ content }}{%- else -%}
{%- for part in content -%}
{%- if part.type == 'text' -%}{{ part.text }}{%- elif part['type'] == 'image' -%}<image>{%- else -%}<{{ part.type }}>{%- endif -%}
{%- endfor -%}{%- endif -%}
{%- endmacro -%}
"""

TEMPLATES: dict[str, str] = {
    "chatml": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
        "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "chatml with a default system": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content']}}"
        "{% if (loop.last and add_generation_prompt) or not loop.last %}{{ '<|im_end|>' + '\\n'}}{% endif %}"
        "{% endfor %}{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}"
        "{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "chatml for training": """{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{{ '\n' }}
    {%- else %}
        {{- '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}""",
    "llama 2": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
        "{% set system_message = false %}{% endif %}{% for message in loop_messages %}" + _ALTERNATE + ""
        "{% if loop.index0 == 0 and system_message != false %}"
        "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
        "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    "llama 3": (
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
        "message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
        "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
    "llama 3 with tools": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}{{- "Environment: ipython\n" }}{%- endif %}
{{- "Today Date: " + date_string + "\n\n" }}
{%- if tools is not none %}
    {{- "You can call:" }}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\n\n" }}{%- endfor %}
{%- endif %}
{{- system_message }}{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}{{- tool_call.arguments | tojson }}{{- "}" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}
        {%- else %}{{- message.content }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}
""",
    "mistral": (
        "{{ bos_token }}{% for message in messages %}" + _ALTERNATE + "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles!') }}"
        "{% endif %}{% endfor %}"
    ),
    "mistral with tools": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}
                    {%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}{{- "[INST] " + message["content"] + "[/INST]" }}{%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}{{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}{{- '[TOOL_RESULTS] {"content": ' + message.content|string + "}[/TOOL_RESULTS]" }}
    {%- else %}{{- raise_exception("No such role!") }}{%- endif %}
{%- endfor %}
""",
    "zephyr": (
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + "
        "eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
    ),
    "gemma": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for message in messages %}" + _ALTERNATE + "{% if (message['role'] == 'assistant') %}"
        "{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + "
        "message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}"
        "{{'<start_of_turn>model\\n'}}{% endif %}"
    ),
    "gemma with pictures": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}
    {%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}{{ raise_exception("Invalid content type") }}{%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<start_of_turn>model\n'}}{%- endif -%}
""",
    "qwen 2": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou "
        "are helpful.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
        "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "qwen 2.5": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- else %}{{- 'You are helpful.' }}{%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}{{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or
        (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- message.content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
""",
    "qwen 3": """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and
        not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- if (message.role == "user") or (message.role == "system") %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}{%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' }}
            {{- content.lstrip('\n') }}
        {%- else %}{{- '<|im_start|>' + message.role + '\n' + content }}{%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\n' }}{%- endif %}
                {{- '<tool_call>\n{"name": "' ~ tool_call.function.name ~ '", "arguments": ' }}
                {%- if tool_call.function.arguments is string %}{{- tool_call.function.arguments }}
                {%- else %}{{- tool_call.function.arguments | tojson }}{%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' ~ content ~ '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}""",
    "qwen omni": _TEXT_PARTS
    + """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + text_of(message.content) + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
""",
    "qwen vl": (
        "{% set image_count = namespace(value=0) %}{% set audio_count = namespace(value=0) %}{% for message in messages %}"
        "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
        "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
        "{% set image_count.value = image_count.value + 1 %}Picture {{ image_count.value }}: <|image_pad|>"
        "{% elif 'audio' in content %}{% set audio_count.value = audio_count.value + 1 %}Audio {{ audio_count.value }}"
        "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "phi 3": (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + "
        "'<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
        "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
    ),
    "phi 4": (
        "{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + "
        "message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + "
        "message['content'] + '<|im_end|>'}}{% else %}{{'<|im_start|>assistant<|im_sep|>' + message['content'] + "
        "'<|im_end|>'}}{% endif %}{% endfor %}{{ '<|im_start|>assistant<|im_sep|>' if add_generation_prompt }}"
    ),
    "command r": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}\
{% set system_message = messages[0]['content'] %}{% elif false == true %}{% set loop_messages = messages %}\
{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}\
{% if system_message != false %}{{ '<|TURN|><|SYSTEM|>' + system_message + '<|END|>' }}{% endif %}\
{% for message in loop_messages %}{% set content = message['content'] %}{% if message['role'] == 'user' %}\
{{ '<|TURN|><|USER|>' + content.strip() + '<|END|>' }}{% elif message['role'] == 'assistant' %}\
{{ '<|TURN|><|BOT|>'  + content.strip() + '<|END|>' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|TURN|><|BOT|>' }}{% endif %}""",
    "command r with tools": """{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} %}
{%- if basic_type_map[json_spec.type] is defined %}{{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}{{- "List[" + json_to_python_type(json_spec.items) + "]"}}
{%- elif json_spec.type is iterable and json_spec.type is not string %}
{{- "Union[" }}{%- for t in json_spec.type %}{{- json_to_python_type({"type": t}) }}{%- endfor %}{{- "]" }}
{%- else %}{{- "Any" }}{%- endif %}
{%- endmacro %}
{{- bos_token }}
{%- for tool in tools or [] %}
{{- "def " + tool.function.name + "(" }}
{%- for name, fields in tool.function.parameters.properties.items() %}
{{- name + ": " }}{%- if not name in tool.function.parameters.required %}{{- "Optional[" }}{%- endif %}
{{- json_to_python_type(fields) }}{%- if not loop.last %}{{- ", " }}{%- endif %}
{%- endfor %}
{{- ') -> List[Dict]:\n    \"\"\"' }}{{- tool.function.description }}{{- '\"\"\"\n    pass\n' }}
{%- endfor %}
{%- for message in messages %}
{%- if message.role|lower == 'user' %}{{- '<|USER|>' + message.content|trim }}
{%- elif message.role|lower == 'assistant' or message.role|lower == 'chatbot' %}
{%- if message.tool_calls %}{{- "Action: ```json\n" }}
{{- message.tool_calls | map(attribute='function') | list | tojson(indent=2) }}{{- "\n```" }}
{%- else %}{{- '<|BOT|>' + message.content|trim }}{%- endif %}
{%- elif message.role == 'tool' %}{{- '<results>\n' ~ loop.index ~ ': ' ~ message.content ~ '\n</results>' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|BOT|>' }}{%- endif %}""",
    "deepseek": (
        "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}"
        "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}"
        "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token }}"
        "{% elif message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
    ),
    "deepseek r1": (
        "{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}"
        "{%- for message in messages %}{%- if message['role'] == 'system' %}"
        "{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}"
        "{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}"
        "{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' in "
        "message %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}"
        "{{'<｜calls｜>' + tool['type'] + '<｜sep｜>' + tool['function']['name'] + '\n' + '```json' + '\n' + "
        "tool['function']['arguments']|tojson + '\n' + '```'}}{%- set ns.is_first = true -%}{%- else %}"
        "{{'\n' + tool['function']['name']}}{%- endif %}{%- endfor %}{%- endif %}"
        "{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{% set content = message['content'] %}"
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
        "{{'<｜Assistant｜>' + content + '<｜end｜>'}}{%- endif %}{%- if message['role'] == 'tool' %}"
        "{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<｜outputs｜>' + message['content']}}"
        "{%- set ns.is_output_first = false %}{%- else %}{{'\n' + message['content']}}{%- endif %}{%- endif %}"
        "{%- endfor -%}{% if ns.is_tool %}{{'<｜outputs end｜>'}}{% endif %}{% if add_generation_prompt and not "
        "ns.is_tool %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"
    ),
    "vicuna": (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] ~ ' ' }}{% elif "
        "message['role'] == 'user' %}{{ 'USER: ' ~ message['content'] ~ ' ' }}{% else %}{{ 'ASSISTANT: ' ~ "
        "message['content'] ~ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    ),
    "alpaca": """{% for message in messages %}
{% if message.role == 'user' %}
### Instruction:
{{ message.content | trim }}

{% elif message.role == 'assistant' %}
### Response:
{{ message.content | trim }}{{ eos_token }}

{% elif message.role == 'system' %}
{{ message.content | trim }}

{% endif %}
{% endfor %}
{% if add_generation_prompt %}
### Response:
{% endif %}""",
    "falcon": (
        "{% for message in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}{% if message['role'] == 'system' %}"
        "{{ 'System: ' }}{% elif message['role'] == 'user' %}{{ 'User: ' }}{% else %}{{ 'Falcon: ' }}{% endif %}"
        "{{ message['content'] | replace('\r\n', '\n') | replace('\n\n', '\n') }}{% endfor %}{% if "
        "add_generation_prompt %}{{ '\nFalcon:' }}{% endif %}"
    ),
    "openchat": (
        "{{ bos_token }}{% for message in messages %}{{ 'GPT4 Correct ' + message['role'].title() + ': ' + "
        "message['content'] + '<|end_of_turn|>'}}{% endfor %}{% if add_generation_prompt %}"
        "{{ 'GPT4 Correct Assistant:' }}{% endif %}"
    ),
    "blenderbot": (
        "{% for message in messages %}{% if message['role'] == 'user' %}{{ ' ' }}{% endif %}{{ message['content'] }}"
        "{% if not loop.last %}{{ '  ' }}{% endif %}{% endfor %}{{ eos_token }}"
    ),
    "granite": """{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system_message = "Knowledge Cutoff: April 2024.\nYou are helpful." %}
    {%- if tools and documents %}{%- set system_message = system_message + " Tools and documents." %}
    {%- elif tools %}{%- set system_message = system_message + " Tools." %}{%- endif %}
    {%- if controls and 'length' in controls %}{%- set system_message = system_message + " Short." %}{%- endif %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>\n' }}
{%- if tools %}
    {{- '<|start_of_role|>tools<|end_of_role|>' }}{{- tools | tojson(indent=4) }}{{- '<|end_of_text|>\n' }}
{%- endif %}
{%- for message in loop_messages %}
    {{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>\n' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant' }}{%- if controls %}{{- ' ' + controls | tojson() }}{%- endif %}
        {{- '<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}""",
    "hermes": """{%- set ns = namespace(tools_said=false) -%}
{{- bos_token -}}
{%- if tools is iterable and tools | length > 0 -%}
    {%- set ns.tools_said = true -%}
    {{- '<|im_start|>system\n<tools> ' -}}
    {%- for tool in tools -%}
        {%- if tool.function is defined -%}{%- set tool = tool.function -%}{%- endif -%}
        {{- {'name': tool.name, 'parameters': tool.parameters} | tojson -}}{{- '\n' if not loop.last else ' ' -}}
    {%- endfor -%}
    {{- '</tools><|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role in ['user', 'system'] or (message.role == 'assistant' and message.tool_calls is not defined) -%}
        {{- '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' -}}
    {%- elif message.role == 'assistant' -%}
        {{- '<|im_start|>assistant' -}}
        {%- for call in message.tool_calls -%}
            {{- '\n<tool_call>\n' ~ call.function | tojson(sort_keys=true) ~ '\n</tool_call>' -}}
        {%- endfor -%}
        {{- '<|im_end|>\n' -}}
    {%- elif message.role == 'tool' -%}
        {{- '<|im_start|>tool\n' -}}
        {{- (message.content if message.content is string else message.content | tojson) ~ '<|im_end|>\n' -}}
    {%- endif -%}
{%- endfor -%}
{{- '<|im_start|>assistant\n' if add_generation_prompt -}}""",
    "olmo": (
        "{{ eos_token }}{% for message in messages %}\n{% if message['role'] == 'system' %}\n{{ '<|system|>\n' + "
        "message['content'] }}\n{% elif message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] }}\n{% elif "
        "message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
    ),
    "internlm": (
        "{{ bos_token }}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
        "'<|im_end|>' + '\n'}}{% endfor %}{{ '<|im_start|>assistant\n' if add_generation_prompt else '' }}"
    ),
    "baichuan": (
        "{% set user, bot = '<reserved_106>', '<reserved_107>' %}{% for message in messages -%}\n"
        "{{ {'user': user, 'assistant': bot}.get(message.role, '') ~ message.content }}\n{%- endfor %}\n"
        "{{- bot if add_generation_prompt }}"
    ),
    "glm": """[gMASK]<sop>
{%- for item in messages %}
{%- if item['tools'] is defined %}{{ item['tools'] | map(attribute='function') | map(attribute='name') | join(', ') }}{%- endif %}
{%- if item['content'] is string %}
<|{{ item['role'] }}|>{{ item.get('metadata', '') }}
{{ item['content'] }}
{%- else %}
<|{{ item['role'] }}|>
{%- for part in item['content'] | selectattr('type', 'equalto', 'text') %}
{{ part.text }}
{%- endfor %}
{%- endif %}
{%- endfor %}
{% if add_generation_prompt %}<|assistant|>{% endif %}""",
    "solar": """{% for message in messages %}{% if message.role == 'system' %}{% if message.content %}### System:
{{ message.content }}

{% endif %}{% elif message.role == 'user' %}### User:
{{ message.content }}

{% elif message.role == 'assistant' %}### Assistant:
{{ message.content }}

{% endif %}{% if loop.last and add_generation_prompt %}### Assistant:
{% endif %}{% endfor %}""",
    "smol": """{#- thinking is on by default -#}
{%- set reasoning_mode = reasoning_mode | default('/think') -%}
{%- set today = strftime_now('%Y') | length -%}
{{- '<|im_start|>system\nMode: ' ~ reasoning_mode ~ ', year of ' ~ today ~ ' digits<|im_end|>\n' -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "assistant" -%}
        {%- generation -%}
        {{- '<|im_start|>assistant\n' + content.lstrip('\n') + '<|im_end|>\n' -}}
        {%- endgeneration -%}
    {%- elif message.role == "user" or message.role == "tool" -%}
        {{- '<|im_start|>user\n' + content + '<|im_end|>\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}""",
    "minicpm": (
        "{% for m in messages %}{% if m.role == 'user' %}{{'<用户>' + m['content'].strip() + '<AI>'}}{% else %}"
        "{{m['content'].strip()}}{% endif %}{% endfor %}"
    ),
    "functionary": """{%- for message in messages recursive %}
{%- if message.role == 'tool' %}{{ '<|from|>' ~ message.name ~ '\n<|recipient|>all\n<|content|>' ~ message.content ~ '\n' }}
{%- else %}{{ '<|from|>' ~ message.role ~ '\n<|recipient|>all\n<|content|>' ~ message.content ~ '\n' }}
{%- for call in message.tool_calls or () %}{{ '<|recipient|>%s\n<|content|>%s' | format(call.function.name, call.id) }}{% endfor %}
{%- endif %}{%- endfor %}{{ '<|from|>assistant\n<|recipient|>' if add_generation_prompt }}""",
    "inheritance of nothing": """{%- macro turn(role, content='', end='<e>') -%}
<{{ role|upper }}>{{ content|indent(2) }}{{ end }}{{ caller() if caller else '' }}
{%- endmacro -%}
{%- for role, group in messages|groupby('role') -%}
    {%- for m in group -%}{% call turn(role, m.content|string|truncate(40)) %}|{{ loop.cycle('a', 'b') }}{% endcall %}{%- endfor -%}
{%- endfor -%}
{%- filter lower -%}GENERATE: {{ add_generation_prompt }}{%- endfilter -%}
{{- messages|map(attribute='role')|unique|sort|join('+') -}}
{{- [1.0, 2, none, true, 'x'] | tojson }}{{ {'b': 1, 'a': [1, 2]} | tojson(indent=2, sort_keys=true) }}""",
    "breaks": """{%- for message in messages -%}
    {%- if message.role == 'tool' -%}{%- continue -%}{%- endif -%}
    {%- if loop.index > 3 -%}{%- break -%}{%- endif -%}
    {%- with n = loop.index0, last = loop.last -%}{{ n }}{{ '!' if last }}:{%- endwith -%}
    {{- message.content if message.content is string else message.content|length -}}
    {{- ';' -}}
{%- else -%}nothing{%- endfor -%}
{%- set captured -%}[{{ messages|length }}]{%- endset -%}
{{- captured ~ captured|length -}}""",
    "jamba": """{# Variables #}
{% set ns = namespace(message_count=0, is_last_checked_defined=False) %}
{{- bos_token -}}
{%- for message in messages %}
{%- set ns.message_count = ns.message_count + 1 -%}
{%- if loop.previtem is defined and loop.previtem.role == message.role -%}{{ '<same>' }}{%- endif -%}
<|{{ message.role }}|>{{ message.content if message.content else '(none)' }}
{%- if loop.nextitem is defined %}<more {{ loop.revindex0 }}>{% endif -%}
{%- endfor -%}
{%- if ns.message_count is odd %} odd{% elif ns.message_count is divisibleby 4 %} four{% endif %}{{ ns.message_count // 2 }}
{{- '<|assistant|>' if add_generation_prompt else '' }}""",
}


def variables_of(name: str) -> dict[str, Any]:
    """What a conversation of that name is rendered with."""
    return {**COMMON, **CONVERSATIONS[name]}


def by_transformers(template: str, variables: dict[str, Any]) -> str | None:
    """What transformers renders; None where the template refuses or fails."""
    from jinja2.exceptions import TemplateError
    from transformers.utils.chat_template_utils import _compile_jinja_template

    try:
        return str(_compile_jinja_template(template).render(**variables))
    except (TemplateError, TypeError, ValueError, AttributeError, LookupError):
        return None


if __name__ == "__main__":
    rendered = {
        name: {which: by_transformers(template, variables_of(which)) for which in CONVERSATIONS}
        for name, template in TEMPLATES.items()
    }
    RENDERED.write_text(json.dumps(rendered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    print(f"{len(rendered)} templates, {len(CONVERSATIONS)} conversations each")
