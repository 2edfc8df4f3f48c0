#!/bin/sh
# Debates as files: import, select and the labels of prm as a user meets them: streams, shards, a killed run, bad records. ARKLET names the program.
suite=debates
. tests/expect.sh

# Debates of three agents in two rounds: question i asks for i + 3. Round 0 states wrong sums for two of three agents in
# every third question, round 1 corrects the first of them.
awk 'BEGIN {
    printf "{"
    for (i = 0; i < 60; i++) {
        printf "%s\"Ann has %d apples and buys 3 more. How many?\": [[", i ? ",\n" : "", i
        for (a = 0; a < 3; a++) {
            wrong = i % 3 == 0 && a < 2
            first = sprintf("Ann has %d and buys 3.\\n\\n%d + 3 = %d\\n\\n#### %d", i, i, i + 3 + wrong, i + 3 + wrong)
            wrong = wrong && a > 0
            second = sprintf("She starts with %d.\\n\\n%d + 3 = %d apples\\n\\n#### %d", i, i, i + 3 + wrong, i + 3 + wrong)
            printf "%s[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"%s\"},", a ? "," : "", first
            printf "{\"role\":\"user\",\"content\":\"others say\"},{\"role\":\"assistant\",\"content\":\"%s\"}]", second
        }
        printf "], \"#### %d\"]", i + 3
    }
    print "}"
}' >"$dir/du.json"

# ---- import ----
run import du "$dir/du.json" -o "$dir/debate.jsonl" -q
expect 'import' 'silent && has "^debates 60$" && has "^turns 360$" && has "^wrong_to_right 20$" && has "^first_round 0.7778 180$"'
expect 'a record a debate' '[ "$(wc -l <"$dir/debate.jsonl")" -eq 60 ] && [ "$(grep -c "\"id\":\"du:59\"" "$dir/debate.jsonl")" -eq 1 ]'
"$arklet" import du - -o - -q <"$dir/du.json" 2>/dev/null | sed 's/"stdin:/"du:/' >"$dir/stream.jsonl"
expect 'import from and to a stream' 'cmp -s "$dir/stream.jsonl" "$dir/debate.jsonl"'
for i in 1 2 3; do "$arklet" import du "$dir/du.json" -o "$dir/shard$i" --shard $i/3 -q >/dev/null; done
cat "$dir/shard1" "$dir/shard2" "$dir/shard3" >"$dir/shards"
expect 'shards concatenate to the whole' '[ -s "$dir/shard2" ] && cmp -s "$dir/shards" "$dir/debate.jsonl"'
for cut in 0 1 1000 5000 20000; do
    head -c $cut "$dir/debate.jsonl" >"$dir/torn.jsonl"
    run import du "$dir/du.json" -o "$dir/torn.jsonl" -q
    expect "import goes on after $cut bytes" 'silent && cmp -s "$dir/torn.jsonl" "$dir/debate.jsonl"'
done
run import du "$dir/du.json" -o /dev/full -q
expect 'a full disk' '[ $code -eq 1 ] && [ "$(wc -l <"$dir/err")" -eq 1 ]'
run import du "$dir/none.json" -o "$dir/x"
expect 'no such file' 'refused 1 none.json "No such file"'
run import dus "$dir/du.json" -o "$dir/x"
expect 'an unknown format' 'refused 2 "du|agentark|messages" dus'
run import du -o "$dir/x"
expect 'no file' 'refused 2 "expected one file"'
printf '{"query":"Q","gt":"4","response":"#### 4"}\n{"query":3,"response":"x"}\n{"query":"Q","gt":"5","response":"#### 4"}\n' >"$dir/ark.jsonl"
run import agentark "$dir/ark.jsonl" -o "$dir/ark" -q
expect 'a bad record' 'refused 1 "ark.jsonl:2: debate 2" "expected a string, found a number" && [ "$(wc -l <"$dir/ark")" -eq 1 ]'
run import agentark "$dir/ark.jsonl" -o "$dir/ark" -q --skip-bad
expect 'a bad record is skipped on request' '[ $code -eq 0 ] && has "^debates 2$" && grep -q "1 bad records were skipped" "$dir/err"'

# ---- select ----
run select -f "$dir/debate.jsonl" -o "$dir/traces.jsonl" --spliced
expect 'select' '[ $code -eq 0 ] && has "^debates 60$" && has "^kept 60$" && has "^corrective " && [ "$(wc -l <"$dir/traces.jsonl")" -eq "$(sed -n "s/^traces //p" "$dir/out")" ] && grep -q "60 of 60 debates kept" "$dir/err"'
expect 'spliced traces have no loss on the wrong part' '[ "$(grep -c "\"kind\":\"spliced\"" "$dir/traces.jsonl")" -eq "$(grep -c "\"weight\":0},{\"text\":\"Wait" "$dir/traces.jsonl")" ] && grep -q "\"kind\":\"spliced\"" "$dir/traces.jsonl"'
"$arklet" select -f - -o - -q --spliced <"$dir/debate.jsonl" >"$dir/stream.jsonl" 2>"$dir/err"
expect 'select from and to a stream' 'cmp -s "$dir/stream.jsonl" "$dir/traces.jsonl" && grep -q "^debates 60$" "$dir/err"'
for i in 1 2 3 4; do "$arklet" select -f "$dir/debate.jsonl" -o "$dir/shard$i" --shard $i/4 -q --spliced >/dev/null; done
cat "$dir/shard1" "$dir/shard2" "$dir/shard3" "$dir/shard4" >"$dir/shards"
expect 'shards of traces concatenate to the whole' '[ -s "$dir/shard2" ] && cmp -s "$dir/shards" "$dir/traces.jsonl"'
for cut in 1 1000 9000; do
    head -c $cut "$dir/traces.jsonl" >"$dir/torn.jsonl"
    run select -f "$dir/debate.jsonl" -o "$dir/torn.jsonl" -q --spliced
    expect "select goes on after $cut bytes" 'silent && cmp -s "$dir/torn.jsonl" "$dir/traces.jsonl"'
done
run select -f "$dir/debate.jsonl" -o "$dir/torn.jsonl" -q --strategy rsft
expect 'another strategy replaces the traces' 'silent && [ "$(wc -l <"$dir/torn.jsonl")" -eq 60 ]'
run select -f "$dir/debate.jsonl" -o "$dir/none.jsonl" --min-correct 4
expect 'nothing kept' '[ $code -eq 0 ] && has "^dropped_few_correct 60$" && grep -q "no trace was written" "$dir/err"'
run select -f "$dir/debate.jsonl" -o "$dir/x" --strategy best
expect 'an unknown strategy' 'refused 2 "rsft|da|answer|sampled"'
run select -f "$dir/ark.jsonl" -o "$dir/x" -q
expect 'no debates' 'refused 1 "ark.jsonl:1" "question"'

# sft takes every form as it is
run sft -m fixtures/models/qwen3 -f "$dir/traces.jsonl" -o "$dir/run" --epochs 0.05 --batch 2 --max-len 256 -q
expect 'sft on the traces' 'silent && has "^steps "'
run select -m fixtures/models/qwen3 -f "$dir/debate.jsonl" -o "$dir/chat.jsonl" -q --spliced --chat
run sft -m fixtures/models/qwen3 -f "$dir/chat.jsonl" -o "$dir/chat" --epochs 0.05 --batch 2 --max-len 256 -q --chat-template chatml
expect 'sft on traces in messages' 'silent && has "^steps "'

# ---- A debate of more rounds than a summary tells apart ----
model=fixtures/models/qwen3
echo '{"id":"1","question":"Ann has 3. How many?","answer":"3"}' >"$dir/q.jsonl"
awk 'BEGIN {
    printf "{\"v\":1,\"id\":\"1\",\"question\":\"Ann has 3. How many?\",\"gold\":\"3\",\"kind\":\"number\",\"agents\":1,\"rounds\":4000,\"turns\":["
    for (r = 0; r < 4000; r++)
        printf "%s{\"round\":%d,\"agent\":0,\"text\":\"#### 3\",\"answer\":\"3\",\"correct\":true}", r ? "," : "", r
    print "],\"vote\":{\"answer\":\"3\",\"count\":1,\"correct\":true}}"
}' >"$dir/long.jsonl"
run debate -m $model -f "$dir/q.jsonl" -o "$dir/long.jsonl" --agents 1 --rounds 1 --max-new 8 -q
expect 'a debate of 4,000 rounds' 'silent && has "^mean_agent_round_15 1.0000 1$" && ! has "^mean_agent_round_16 "'

# ---- prm: debates as labelled steps ----
head -n 6 "$dir/debate.jsonl" >"$dir/few.jsonl"
tail -n 6 "$dir/debate.jsonl" >"$dir/dev.jsonl"
run prm -m $model -f "$dir/few.jsonl" --dev "$dir/dev.jsonl" -o "$dir/prm" --epochs 1 --max-len 256
expect 'the memory of prm is told' 'grep -q "^prm: [0-9]* parameters in training; memory [0-9.]* MB = weights .* + work .* + tokenizer, program " "$dir/err"'
expect 'prm on debates' '[ $code -eq 0 ] && grep -q "labels.jsonl: 6 debates" "$dir/err" && has "^step_auc " && has "^first_error_f1 " && has "^best_of_n "'
expect 'a wrong step is labelled' 'grep -q "\[true,false,null\],\"correct\":false,\"source\":\[\[0,0\]\]" "$dir/prm/labels.jsonl"'
run prm -m $model -f "$dir/few.jsonl" -o "$dir/cut" --max-len 6 -q
expect 'prm without a step that fits' 'refused 1 "few.jsonl\|labels.jsonl" "within 6 tokens" && [ ! -f "$dir/cut/adapter.gguf" ]'
mc="prm -m $model -f $dir/few.jsonl --epochs 0.1 --max-len 256 --labels mc,outcome --mc-samples 2 --mc-max-new 6 -q"
run $mc -o "$dir/mc" -t 1
expect 'labels by continuations' 'silent && [ "$(grep -c "\"mc\":\[" "$dir/mc/labels.jsonl")" -eq "$(wc -l <"$dir/mc/labels.jsonl")" ]'
mkdir "$dir/mc2"
head -c 2500 "$dir/mc/labels.jsonl" >"$dir/mc2/labels.jsonl"
run $mc -o "$dir/mc2" -t 2 --resume
expect 'labels go on, on other threads, to the same bytes' 'silent && cmp -s "$dir/mc/labels.jsonl" "$dir/mc2/labels.jsonl" && cmp -s "$dir/mc/adapter_model.safetensors" "$dir/mc2/adapter_model.safetensors"'
cp "$dir/mc/labels.jsonl.config.txt" "$dir/mc2"
run prm -m $model -f "$dir/few.jsonl" -o "$dir/mc2" --epochs 0.1 --max-len 256 --labels mc,outcome --mc-samples 3 --mc-max-new 6 -q --resume
expect 'labels do not go on with other settings' 'refused 1 "labels.jsonl" "mc-samples = 2" "mc-samples = 3"'
run prm -m $model -f "$dir/few.jsonl" --dev "$dir/dev.jsonl" -o "$dir/implicit" --implicit --epochs 1 --max-len 256 -q
expect 'an implicit reward model' 'silent && has "^step_auc " && grep -q "\"scores\":\[" "$dir/implicit/dev_scores.jsonl" && grep -q "\"beta\":0.05" "$dir/implicit/implicit_prm.json"'
run score -m $model --prm "$dir/implicit" -f "$dir/implicit/dev_labels.jsonl" -o "$dir/scores.jsonl" -q --max-len 256
expect 'score reads it' 'silent && cmp -s "$dir/scores.jsonl" "$dir/implicit/dev_scores.jsonl"'
for flag in '' --implicit; do
    run prm -m $model -f "$dir/few.jsonl" -o "$dir/y" --max-len 256 --mem-limit 6M $flag
    expect "a limit that prm $flag does not fit into" 'refused 1 "mem-limit 6M" "are needed" "6.0 are allowed" && [ ! -e "$dir/y" ]'
done
# Training takes less than 32 continuations: these become fewer.
prm="prm -m $model -f $dir/few.jsonl --epochs 0.1 --max-len 256 --labels mc,outcome --mc-samples 2 --mc-max-new 6"
run $prm -o "$dir/mc3" --mem-limit 9M
expect 'fewer continuations within a limit, the same labels' '[ $code -eq 0 ] && grep -q "^prm: labels of \([1-9]\|1[0-9]\) continuations; memory " "$dir/err" && cmp -s "$dir/mc/labels.jsonl" "$dir/mc3/labels.jsonl"'
run prm -m $model -f "$dir/few.jsonl" -o "$dir/y" --lora fixtures/adapters/qwen3
expect 'a reward model from an adapter' 'refused 2 "merge the adapter first"'
run prm -m $model -f "$dir/few.jsonl" -o "$dir/y" --labels mc,vote
expect 'an unknown source of labels' 'refused 2 "outcome,debate,mc,equation" vote && [ ! -e "$dir/y" ]'
exit $failed
